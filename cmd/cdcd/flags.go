package main

import (
	"flag"

	"github.com/cdcd-io/cdcd/internal/config"
)

// configFlags are the flags of every verb that reads a configuration.
type configFlags struct{ set listFlag }

const setHelp = `  --set KEY=VALUE    override a key of the file, as often as needed:
                     --set admin.listen=127.0.0.1:8083
`

func (c *configFlags) register(fs *flag.FlagSet) {
	fs.Var(&c.set, "set", "override a key of the file")
}

func (c *configFlags) options(sys *system) config.Options {
	return config.Options{
		Set: c.set, LookupEnv: sys.env,
		SinkKinds: sinkKinds(), FormatKinds: formatKinds(), CheckpointKinds: []string{"file"},
	}
}
