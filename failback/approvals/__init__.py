"""What an approval is bound to, and how a person gives one by a link."""
