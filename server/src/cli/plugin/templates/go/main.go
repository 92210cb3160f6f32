// Command {{name}} is a plugin: what it exports stands in the packages that begin with export_.
package main

import _ "plugin.example/{{name}}/bindings/wit_exports"

func main() {}
