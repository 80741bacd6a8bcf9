package main

import _ "embed"

// jsonPage is what 'tallyman help json' prints. A test holds it against the code.
//
//go:embed json.txt
var jsonPage string
