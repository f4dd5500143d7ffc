"""A stand-in for Supabase's management API: the source project of the lab, as its owner sees it."""
