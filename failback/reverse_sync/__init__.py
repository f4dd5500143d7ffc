"""Carries one side's changes to the other: capture, net effect, apply, fence, verification."""
