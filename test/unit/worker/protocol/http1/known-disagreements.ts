/** Where our codecs and llhttp disagree about messages of both directions, and why. */

/** What we refuse and llhttp does not. */
export interface OurReason {
  /** Our message. */
  readonly says: RegExp;
  readonly because: string;
}

/** What llhttp refuses and we do not. */
export interface LlhttpReason<Seen> {
  readonly code: string;
  /** @param seen the message that only we accepted */
  readonly is: (seen: Seen, wire: string) => boolean;
  readonly because: string;
}

export const BLANK_AFTER_CODING = /chunked[ \t]+\r\n/i;

export const codingsWeRefuse: readonly OurReason[] = [
  { says: /^expected no Transfer-Encoding in HTTP\/1.0/, because: 'it ignores the version' },
  { says: /^expected one Transfer-Encoding/, because: 'it joins several into one list' },
  {
    says: /^expected Transfer-Encoding "chunked"/,
    because: 'it takes a list that ends in chunked',
  },
];

export const bodiesLlhttpRefuses: readonly LlhttpReason<unknown>[] = [
  {
    code: 'HPE_INVALID_CONTENT_LENGTH',
    is: (_seen, wire) => hasTrailer('Content-Length', wire),
    because: 'it reads a length among the trailers, which we drop (RFC 9110 §6.5.1)',
  },
  {
    code: 'HPE_INVALID_TRANSFER_ENCODING',
    is: (_seen, wire) => hasTrailer('Transfer-Encoding', wire),
    because: 'it reads a coding among the trailers, which we drop (RFC 9110 §6.5.1)',
  },
  {
    code: 'HPE_INVALID_CHUNK_SIZE',
    is: (_seen, wire) => /[0-9a-f][ \t]+;/i.test(wire),
    because: 'it takes no blank before an extension, which RFC 9112 §7.1.1 allows',
  },
  {
    code: 'HPE_STRICT',
    is: (_seen, wire) => /[0-9a-f];[^\r\n]*\r\n/i.test(wire),
    because: 'it reads extensions, which we drop unread up to their CRLF',
  },
];

function hasTrailer(name: string, wire: string): boolean {
  return new RegExp(`\\r\\n0+[^\\n]*\\r\\n(?:[^\\r\\n]+\\r\\n)*${name}:`, 'i').test(wire);
}
