package pgxpool_test

import "slices"

// behaviours are all cases.
var behaviours = slices.Concat(
	configCases,
	acquireCases,
	statementCases,
	txCases,
	hookCases,
	forgottenCases,
	pingCases,
)
