"""Inserts faults into the programs that tests start."""


def before(owner, name, action):
    """Calls `action` before every call of a function."""
    function = getattr(owner, name)

    def acting(*arguments, **keywords):
        action(*arguments)
        return function(*arguments, **keywords)

    setattr(owner, name, acting)
