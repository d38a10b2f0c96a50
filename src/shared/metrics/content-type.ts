/** Prometheus' text format, which the metrics page is in. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
