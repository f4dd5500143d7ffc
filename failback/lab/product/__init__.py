"""The lab's product: a small Supabase-shaped application, one process a side."""
