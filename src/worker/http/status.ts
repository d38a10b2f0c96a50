/** What a status means for the shape of a message (RFC 9110 §15). */

/** 1xx, 204 and 304 never have a body, whatever their header says (RFC 9112 §6.3). */
export function hasNoBody(status: number): boolean {
  return status < 200 || status === 204 || status === 304;
}
