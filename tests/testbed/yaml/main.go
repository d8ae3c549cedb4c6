// Command yaml-as-json answers what sigs.k8s.io/yaml reads in a text: the oracle of tests/property/test_go_yaml_properties.py.
//
// Each line of its input is a JSON string, the text of one document. Each line of its output is the answer:
// {"value": …} in the bytes of YAMLToJSON, or {"error": "…"} where the library refuses the text.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

const longestLine = 64 << 20

func main() {
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, longestLine)
	output := bufio.NewWriter(os.Stdout)
	for input.Scan() {
		var text string
		if err := json.Unmarshal(input.Bytes(), &text); err != nil {
			fmt.Fprintln(os.Stderr, "not a JSON string:", err)
			os.Exit(2)
		}
		fmt.Fprintf(output, "%s\n", answer(text))
		output.Flush() // whoever asks waits for the answer
	}
	if err := input.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

func answer(text string) (line []byte) {
	// The library panics on some texts. A program that reads one would end, so the text counts as refused.
	defer func() {
		if problem := recover(); problem != nil {
			line = refused(fmt.Sprint("panic: ", problem))
		}
	}()
	value, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return refused(err.Error())
	}
	return append(append([]byte(`{"value": `), value...), '}')
}

func refused(reason string) []byte {
	line, _ := json.Marshal(map[string]string{"error": reason})
	return line
}
