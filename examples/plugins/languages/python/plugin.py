"""One plugin with every hook; a plugin with one hook has that class alone and names its world in the build."""

from alert import RunEnd
from redactor import OutputRedaction
from timeout import Lifecycle, TimeoutPolicy
