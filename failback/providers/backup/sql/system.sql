-- Which cluster this is, where the role may ask.
SELECT system_identifier FROM pg_control_system()
