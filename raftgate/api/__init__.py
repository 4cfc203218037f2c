"""The dictionary: messages, codecs, errors and the table of RPCs, spoken by every other package.

It imports msgspec and the standard library only.
"""
