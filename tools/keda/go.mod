// KEDA's custom resource definitions (config/crd/bases), which the sandbox installs in its API servers.
// A module of its own: nothing of it is compiled, and its requirements are not the tools'.
module trading-platform/tools/keda

go 1.26.0

require github.com/kedacore/keda/v2 v2.21.0
