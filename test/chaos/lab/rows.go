package lab

import "slices"

// Rows are all faults of the laboratory, in the order of the table.
func Rows() []Row {
	return slices.Concat(
		outages(),
		smartStops(),
		maintenance(),
		deaths(),
		losses(),
		silences(),
		misnomers(),
		patiences(),
		refusals(),
		failovers(),
		crashes(),
		foreigners(),
		crowds(),
		manners(),
		closings(),
	)
}
