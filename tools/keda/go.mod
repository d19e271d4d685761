// KEDA's custom resource definitions (config/crd/bases), which the sandbox installs in its API servers.
// It is a separate module, because nothing in it is compiled, and it must not affect the versions of the tools.
module trading-platform/tools/keda

go 1.26.0

require github.com/kedacore/keda/v2 v2.21.0
