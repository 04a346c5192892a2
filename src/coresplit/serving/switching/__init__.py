"""Changing the active set of instances while serving.

switcher   the steps of a change: start missing instances, take over, end surplus ones
managing   the HTTP endpoint that asks for changes
"""
