/**
 * Every way a request can fail. The status sent downstream, the retry decision,
 * the metric label and `docs/reference/errors.md` all come from this table, so
 * a new error is one new row.
 */
export interface ErrorFacts {
  /** Whose fault it is; decides whose alert it raises. */
  readonly side: 'downstream' | 'upstream' | 'internal';
  /** Sent downstream, unless a response head has gone out already. 0: nobody is there to read an answer. */
  readonly status: number;
  /**
   * `safe`: the peer has not seen the request.
   * `if-idempotent`: it may have (RFC 9110 §9.2.2).
   */
  readonly retry: 'safe' | 'if-idempotent' | 'never';
  /** Tells the client when to come back (RFC 9110 §10.2.3). */
  readonly retryAfterSeconds?: number;
  /** For the operator: what happened. */
  readonly means: string;
  /** For the operator: what to look at first. */
  readonly remedy: string;
}

export const catalog = {
  'downstream/malformed-message': {
    side: 'downstream',
    status: 400,
    retry: 'never',
    means: 'The request breaks the protocol.',
    remedy: 'The detail says where; look at the client, or at a proxy in front of Sluice.',
  },
  'downstream/head-too-large': {
    side: 'downstream',
    status: 431,
    retry: 'never',
    means: 'The header section of the request is larger than allowed.',
    remedy:
      'Look for a cookie that grows; raise `limits.max_head` of the service if the size is meant.',
  },
  'downstream/target-too-long': {
    side: 'downstream',
    status: 414,
    retry: 'never',
    means: 'The request line is longer than allowed.',
    remedy:
      'Send long parameters in the body; raise `limits.max_target` of the service if it is meant.',
  },
  'downstream/too-many-headers': {
    side: 'downstream',
    status: 431,
    retry: 'never',
    means: 'The request has more header fields than allowed.',
    remedy: 'Look at the client; raise `limits.max_headers` of the service if the number is meant.',
  },
  'downstream/version-not-supported': {
    side: 'downstream',
    status: 505,
    retry: 'never',
    means: 'The request line names an HTTP version that this listener does not speak.',
    remedy: 'Look at the client; HTTP/1.0 and HTTP/1.1 are understood.',
  },
  'downstream/transfer-coding-not-supported': {
    side: 'downstream',
    status: 501,
    retry: 'never',
    means: 'The request uses a transfer coding other than chunked.',
    remedy: 'Look at the client; compress with Content-Encoding instead.',
  },
  'downstream/expectation-failed': {
    side: 'downstream',
    status: 417,
    retry: 'never',
    means: 'The request expects something other than 100-continue.',
    remedy: 'Look at the client; no other expectation is registered.',
  },
  'downstream/path-not-allowed': {
    side: 'downstream',
    status: 400,
    retry: 'never',
    means: 'The path has a spelling that peers may read as a different path, or leaves the root.',
    remedy:
      'The detail names the option of `paths` that allows it, if there is one; usually it is a scanner.',
  },
  'downstream/body-too-large': {
    side: 'downstream',
    status: 413,
    retry: 'never',
    means: 'The request body is longer than allowed.',
    remedy: 'Raise `limits.max_body` of the service if such a body is meant.',
  },
  'downstream/body-too-slow': {
    side: 'downstream',
    status: 408,
    retry: 'never',
    means: 'The client sent its body, or took its response, more slowly than allowed.',
    remedy: 'A slow or hostile client; see `limits.min_rate` of the service.',
  },
  'downstream/method-not-allowed': {
    side: 'downstream',
    status: 405,
    retry: 'never',
    means: 'The method (CONNECT or TRACE) is none that a reverse proxy answers.',
    remedy: 'Look for a scanner, or for a client that takes Sluice for a forward proxy.',
  },
  'downstream/request-timeout': {
    side: 'downstream',
    status: 408,
    retry: 'never',
    means: 'The client did not send its whole request in time.',
    remedy:
      'A slow or dead client; see `timeouts.request_head` and `timeouts.request_body` of the service.',
  },
  'downstream/tunnel-idle': {
    side: 'downstream',
    status: 0,
    retry: 'never',
    means: 'Nothing went through an upgraded connection for `tunnel_idle`.',
    remedy:
      'Let the application send pings; raise `timeouts.tunnel_idle` of the service if silence is normal.',
  },
  'downstream/write-timeout': {
    side: 'downstream',
    status: 0,
    retry: 'never',
    means: 'The client stopped reading its response.',
    remedy: 'A slow or dead client; see `timeouts.response_write` of the service.',
  },
  'downstream/closed': {
    side: 'downstream',
    status: 0,
    retry: 'never',
    means: 'The client closed the connection before its response was complete.',
    remedy: 'Usually nothing: people leave. Many of them point at slow upstreams.',
  },
  'upstream/none-healthy': {
    side: 'upstream',
    status: 503,
    retryAfterSeconds: 5,
    retry: 'never',
    means: 'No peer of the upstream may be used: all are ill, or it has none.',
    remedy:
      'Look at the peers and at the log lines about health; the first flip tells when it began.',
  },
  'upstream/overloaded': {
    side: 'upstream',
    status: 503,
    retryAfterSeconds: 1,
    retry: 'never',
    means:
      'As many requests to the upstream as `circuit_breaker` allows are under way, and too many wait already, or this one has waited too long.',
    remedy:
      'Look at how long the peers take (`sluice peers`, their own metrics); add peers, or raise `circuit_breaker.max_requests` if they can do more.',
  },
  'upstream/connect-refused': {
    side: 'upstream',
    status: 502,
    retry: 'safe',
    means: 'Nothing listens on the peer’s address.',
    remedy:
      'Check that the peer runs; configure a health check so that it leaves rotation by itself.',
  },
  'upstream/connect-failed': {
    side: 'upstream',
    status: 502,
    retry: 'safe',
    means: 'The connection to the peer could not be made.',
    remedy:
      'The detail has the system’s reason: name not found, no route, out of ports or descriptors.',
  },
  'upstream/connect-timeout': {
    side: 'upstream',
    status: 504,
    retry: 'safe',
    means:
      'The connection, the proxy’s answer or the TLS handshake took longer than `connect_timeout`, or all of them longer than `total_connect_timeout`.',
    remedy: 'Look for a firewall that drops packets, or a peer with a full accept queue.',
  },
  'upstream/proxy-refused': {
    side: 'upstream',
    status: 502,
    retry: 'safe',
    means:
      'The proxy on the way to the peer refused to connect to it, or its answer to CONNECT was none.',
    remedy:
      'The detail has its status and reason: look at what it allows, and at the credentials of `proxy`.',
  },
  'upstream/tls-handshake-failed': {
    side: 'upstream',
    status: 502,
    retry: 'safe',
    means: 'The peer accepted the connection, but the TLS handshake with it failed.',
    remedy:
      'The detail has OpenSSL’s reason. Look whether the peer speaks TLS 1.2 or 1.3 on that port, and whether it asks for a certificate of ours.',
  },
  'upstream/certificate-refused': {
    side: 'upstream',
    status: 502,
    retry: 'safe',
    means: 'The peer’s certificate is expired, for another name, or no authority vouches for it.',
    remedy:
      'The detail says which. Renew it, correct `tls.sni`, or give `tls.ca` the authority that signed it.',
  },
  'upstream/idle-connection-closed': {
    side: 'upstream',
    status: 502,
    retry: 'if-idempotent',
    means: 'The peer closed a pooled connection just as we reused it.',
    remedy: 'Set `pool.idle_timeout` below the peer’s keep-alive timeout.',
  },
  'upstream/unasked-bytes': {
    side: 'upstream',
    status: 502,
    retry: 'if-idempotent',
    means: 'The peer sent bytes on a pooled connection that were no answer to a request.',
    remedy: 'Look for a peer that answers twice, or whose Content-Length is too small.',
  },
  'upstream/closed': {
    side: 'upstream',
    status: 502,
    retry: 'never',
    means:
      'The peer closed the connection before its response was complete, or, of a response without a length over TLS, without an end of TLS.',
    remedy:
      'Look for a crash or a restart in the peer’s log; over TLS also for something in between that cuts connections.',
  },
  'upstream/malformed-message': {
    side: 'upstream',
    status: 502,
    retry: 'never',
    means: 'The peer’s response breaks the protocol.',
    remedy: 'The detail says where; look at the peer, or at a proxy in between.',
  },
  'upstream/read-timeout': {
    side: 'upstream',
    status: 504,
    retry: 'never',
    means: 'The peer sent nothing for `read_timeout`.',
    remedy: 'Look at what the peer waits for; raise `read_timeout` if such silence is normal.',
  },
  'upstream/write-timeout': {
    side: 'upstream',
    status: 504,
    retry: 'never',
    means: 'The peer took nothing of the request body for `write_timeout`.',
    remedy: 'Look at what the peer waits for; raise `write_timeout` if such silence is normal.',
  },
  'upstream/request-timeout': {
    side: 'upstream',
    status: 504,
    retry: 'never',
    means: 'No response began within `timeouts.request`, over all attempts.',
    remedy:
      'Look at how long each attempt took; raise `timeouts.request` of the service if it is meant.',
  },
  'internal/phase-timeout': {
    side: 'internal',
    status: 504,
    retry: 'never',
    means: 'A phase returned a promise that was not settled within `timeouts.phase`.',
    remedy:
      'The log entry names the phase: look at what it waits for, and give that a deadline of its own.',
  },
  'internal/body-length': {
    side: 'internal',
    status: 500,
    retry: 'never',
    means:
      'A body phase passed on more or fewer bytes than the Content-Length that another phase has set.',
    remedy: 'Set the length that the body will have, or leave the field out.',
  },
  'internal/subrequest-limit': {
    side: 'internal',
    status: 500,
    retry: 'never',
    means: 'A phase made more subrequests than one request may, or one that is nested too deep.',
    remedy:
      'The detail says which. Usually the subrequest runs into the phase that has made it: look at `session.parent` there.',
  },
  'internal/subrequest-timeout': {
    side: 'internal',
    status: 504,
    retry: 'never',
    means: 'A subrequest was not complete within its `timeoutMs`.',
    remedy: 'Look at what its peer waits for; give it more time if it is meant to take so long.',
  },
  'internal/subrequest-failed': {
    side: 'internal',
    status: 500,
    retry: 'never',
    means: 'A subrequest that a phase waits for, or passes on, was cut before it was complete.',
    remedy: 'Its own line in the log says why; `subrequestOf` there is the id of the request.',
  },
  'internal/filter-threw': {
    side: 'internal',
    status: 500,
    retry: 'never',
    means: 'A phase threw something other than a ProxyError.',
    remedy: 'Read `err` in the log entry: it names the phase and has the stack.',
  },
} as const satisfies Record<string, ErrorFacts>;

export type ErrorCode = keyof typeof catalog;

export const errorCodes = Object.keys(catalog) as readonly ErrorCode[];
