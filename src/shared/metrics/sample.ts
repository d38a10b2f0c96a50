/** One line of the metrics page. */
export interface Sample {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number>>;
  /** Of histograms: the part's name, such as `…_bucket`. */
  readonly metricName?: string;
}
