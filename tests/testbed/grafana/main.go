// Command check-dashboard reads a Grafana dashboard from its input by the types that Grafana publishes for dashboards, panels
// and queries of Prometheus. It prints each field that Grafana does not know and each value that is not allowed, and then
// ends with 1.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	plugins.RegisterDefaultPlugins()
	text, err := io.ReadAll(os.Stdin)
	fail(err)
	var board dashboard.Dashboard
	fail(board.UnmarshalJSONStrict(text))
	fail(board.Validate())
}

// fail ends the program with an error. An error without a text is a list of no errors.
func fail(err error) {
	if err == nil || err.Error() == "" {
		return
	}
	fmt.Println(err)
	os.Exit(1)
}
