"""The sections of a configuration, one module for each subject."""
