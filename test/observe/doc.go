// Package observe is where what people look at meets what there is: each query of the dashboard and each alert of contrib is
// evaluated over the metrics of a running demo. It is a module of its own, since it needs Prometheus.
package observe
