"""Libraries that are imported when something of them is first used: a run that is all stored needs none.

Importing PyTorch and transformers takes seconds, more than everything else that such a run does. A function
could import them where it uses them, but every module of the stages would then do so in most functions.
"""

import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType


def defer_import(name: str) -> None:
    """Let `import name` give a module that is executed at the first look at anything inside it.

    Nothing happens to a library that has been imported, or that is not installed. For the main thread, before
    others start: a second thread would see a module that is not yet complete.
    """
    spec = importlib.util.find_spec(name) if name not in sys.modules else None
    if spec is not None and spec.loader is not None:
        sys.modules[name] = _DeferredModule(importlib.util.module_from_spec(spec))


def when_imported(name: str, action: Callable[[], None]) -> None:
    """Do this now if the library has been imported, and else as soon as it is."""
    module = sys.modules.get(name)
    if isinstance(module, _DeferredModule):
        module.__dict__["_actions"].append(action)
    elif module is not None:
        action()


class _DeferredModule(ModuleType):
    """Becomes the module that it stands for at the first look at anything inside, submodules included."""

    def __init__(self, module: ModuleType) -> None:
        super().__init__(module.__name__)
        # Looking for a submodule begins at the package's path, which is held back. What else a module has
        # before it is executed stays in sight: `inspect` looks at the file of everything imported.
        self.__dict__.update(vars(module), _actions=[])
        self.__dict__.pop("__path__", None)

    def __getattr__(self, name: str) -> object:
        if (module := sys.modules[self.__name__]) is self:
            module = self._execute()
        return getattr(module, name)

    def _execute(self) -> ModuleType:
        """Return the executed module, which is another one if it puts another one in its own place."""
        spec, actions = self.__spec__, self.__dict__.pop("_actions")
        assert spec is not None
        assert spec.loader is not None
        if spec.submodule_search_locations is not None:
            self.__path__ = spec.submodule_search_locations
        self.__class__ = ModuleType  # type: ignore[assignment]
        spec.loader.exec_module(self)
        if (module := sys.modules[self.__name__]) is not self:
            self.__class__ = _DeferredModule  # goes on looking there
        for action in actions:
            action()
        return module
