"""Changing the set of instances that serves, while it serves.

switcher   the steps of a change: start what is missing, take over, let go what is too much
managing   who may ask for one, over HTTP
"""
