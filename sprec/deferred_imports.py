"""Libraries that are imported when something of them is first used: a run that is all stored needs none.

Importing PyTorch and transformers takes seconds, more than everything else that such a run does. A function
could import them where it uses them, but every module of the stages would then do so in most functions.
"""

import importlib.util
import sys
from collections.abc import Callable, Mapping
from types import ModuleType

_ACTIONS = "_actions_after_import"


def defer_import(name: str, **known: object) -> None:
    """Let `import name` give a module that is executed at the first look at anything inside it.

    Nothing happens to a library that has been imported, or that is not installed. For the main thread, before
    others start: a second thread would see a module that is not yet complete.

    Args:
        name: the library.
        known: attributes that can be had before, by name.

    """
    spec = importlib.util.find_spec(name) if name not in sys.modules else None
    if spec is not None and spec.loader is not None:
        sys.modules[name] = _DeferredModule(importlib.util.module_from_spec(spec), known)


def when_imported(name: str, action: Callable[[], None]) -> None:
    """Do this now if the library has been imported, and else as soon as it is."""
    module = sys.modules.get(name)
    if type(module) is _DeferredModule and (actions := vars(module).get(_ACTIONS)) is not None:
        actions.append(action)
    elif module is not None:
        action()


def import_deferred() -> None:
    """Execute the libraries that wait to be looked into."""
    for module in list(sys.modules.values()):
        if type(module) is _DeferredModule and _ACTIONS in vars(module):
            module.execute()


class _DeferredModule(ModuleType):
    """Becomes the module that it stands for at the first look at anything inside, submodules included."""

    def __init__(self, module: ModuleType, known: Mapping[str, object]) -> None:
        super().__init__(module.__name__)
        # Looking for a submodule begins at the package's path, which is held back. What else a module has
        # before it is executed stays in sight: `inspect` looks at the file of everything imported.
        vars(self).update({**vars(module), **known, _ACTIONS: []})
        vars(self).pop("__path__", None)

    def __getattr__(self, name: str) -> object:
        module = sys.modules[self.__name__]
        return getattr(self.execute() if module is self else module, name)

    def execute(self) -> ModuleType:
        """Return the executed module, which is another one if it puts another one in its own place."""
        before = dict(vars(self))
        spec, actions = self.__spec__, vars(self).pop(_ACTIONS)
        assert spec is not None
        assert spec.loader is not None
        if spec.submodule_search_locations is not None:
            self.__path__ = spec.submodule_search_locations
        self.__class__ = ModuleType  # type: ignore[assignment]
        try:
            spec.loader.exec_module(self)
        except BaseException:  # whoever looks next gets the reason again, and no half of a module
            self.__class__ = _DeferredModule
            vars(self).clear()
            vars(self).update(before)
            raise
        if (module := sys.modules[self.__name__]) is not self:
            self.__class__ = _DeferredModule  # goes on looking there
        for action in actions:
            action()
        return module
