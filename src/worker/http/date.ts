/** The time as HTTP writes it (RFC 9110 §5.6.7), made once per second. */

let second = Number.NaN;
let text = '';

/** `Tue, 24 Nov 2026 02:07:59 GMT` */
export function httpDate(): string {
  const now = Date.now();
  const current = Math.floor(now / 1000);
  if (current !== second) {
    second = current;
    text = new Date(now).toUTCString();
  }
  return text;
}
