import json
from no_such_package_of_anyone import network
from vcap import BaseCapsule


class Capsule(BaseCapsule):
    name = "import_fails_old"
    version = 1
