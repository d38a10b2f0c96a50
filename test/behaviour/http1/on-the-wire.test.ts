/** What becomes of a message on its way through, byte for byte, in both directions. */
import { test } from 'node:test';
import { ADDED, IN_STEP, runRow, startWire, type WireRow } from '../../support/wire.ts';

const OK = 'HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 2\r\n\r\nok';

/** What the origin sees of a request with these lines between its first and what Sluice adds. */
const seen = (line: string, fields: string, extra = '') =>
  `${line} HTTP/1.1\r\n${fields}${ADDED}${extra}\r\n`;

const requests: readonly WireRow[] = [
  {
    name: 'a request keeps the case, the order and the repetitions of its fields',
    clientSends:
      'GET /a?b=%7e HTTP/1.1\r\nhOsT: a\r\nX-B: 1\r\nx-a: 2\r\nX-b: 3\r\nX-B: 1\r\nX-Empty:\r\n\r\n',
    originSees: seen(
      'GET /a?b=%7e',
      'hOsT: a\r\nX-B: 1\r\nx-a: 2\r\nX-b: 3\r\nX-B: 1\r\nX-Empty: \r\n',
    ),
    originSends: OK,
    clientSees: OK + IN_STEP,
  },
  {
    name: 'blanks around values, and an empty line before the request, go',
    clientSends: '\r\nGET / HTTP/1.1\r\nHost:\ta \r\nX:  1\t2 \t\r\n\r\n',
    originSees: seen('GET /', 'Host: a\r\nX: 1\t2\r\n'),
    originSends: OK,
    clientSees: OK + IN_STEP,
  },
  {
    name: 'the absolute form becomes path and Host',
    clientSends: 'GET http://a/x?y HTTP/1.1\r\nHost: A\r\n\r\n',
    originSees: seen('GET /x?y', 'Host: a\r\n'),
    originSends: OK,
    clientSees: OK + IN_STEP,
  },
  {
    name: 'the path goes up in its normal form',
    clientSends: 'GET /a/../b/%7e/%c3?x=/../y HTTP/1.1\r\nHost: a\r\n\r\n',
    originSees: seen('GET /b/~/%C3?x=/../y', 'Host: a\r\n'),
    originSends: OK,
    clientSees: OK + IN_STEP,
  },
  {
    name: 'a question about the whole server',
    clientSends: 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n',
    originSees: seen('OPTIONS *', 'Host: a\r\n'),
    originSends: OK,
    clientSees: OK + IN_STEP,
  },
  {
    name: 'a method that nobody registered',
    clientSends: 'm-search / HTTP/1.1\r\nHost: a\r\n\r\n',
    originSees: seen('m-search /', 'Host: a\r\n'),
    originSends: OK,
    clientSees: OK + IN_STEP,
  },
  {
    name: 'a body with a length',
    clientSends: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX: y\r\n\r\nhello',
    originSees: `${seen('POST /', 'Host: a\r\nContent-Length: 5\r\nX: y\r\n')}hello`,
    originSends: OK,
    clientSees: OK + IN_STEP,
  },
  {
    name: 'a length with zeros in front, which some read as octal',
    clientSends: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0010\r\n\r\n0123456789',
    originSees: `${seen('POST /', 'Host: a\r\nContent-Length: 10\r\n')}0123456789`,
    originSends: OK,
    clientSees: OK + IN_STEP,
  },
  {
    name: 'a length of zero',
    clientSends: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n',
    originSees: seen('POST /', 'Host: a\r\nContent-Length: 0\r\n'),
    originSends: OK,
    clientSees: OK + IN_STEP,
  },
  {
    name: 'a chunked body, framed anew and without extensions',
    clientSends:
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n05;a=b\r\nhello\r\n00;c\r\n\r\n',
    originSees: `${seen('POST /', 'Host: a\r\n', 'Transfer-Encoding: chunked\r\n')}5\r\nhello\r\n0\r\n\r\n`,
    originSends: OK,
    clientSees: OK + IN_STEP,
  },
  ...['GET', 'DELETE', 'OPTIONS', 'HEAD'].map((method) => ({
    name: `a chunked body of a ${method}, which stays a body`,
    clientSends: `${method} / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1c\r\nGET /smuggled HTTP/1.1\r\nA: b\r\n0\r\n\r\n`,
    originSees: `${seen(`${method} /`, 'Host: a\r\n', 'Transfer-Encoding: chunked\r\n')}1c\r\nGET /smuggled HTTP/1.1\r\nA: b\r\n0\r\n\r\n`,
    originSends: 'HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n',
    clientSees: `HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n${IN_STEP}`,
  })),
  {
    name: 'trailers of a request, without those that are no trailers',
    clientSends:
      'POST / HTTP/1.1\r\nHost: a\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n' +
      '2\r\nhi\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\nHost: b\r\nContent_Length: 9\r\nProxy: x\r\nx-SUM: 2\r\n\r\n',
    originSees: `${seen('POST /', 'Host: a\r\n', 'Transfer-Encoding: chunked\r\n')}2\r\nhi\r\n0\r\nX-Sum: 1\r\nx-SUM: 2\r\n\r\n`,
    originSends: OK,
    clientSees: OK + IN_STEP,
  },
  {
    name: 'what Connection names goes, and so does what is for one connection only',
    clientSends:
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Secret, x-forwarded-for, Host\r\nX-Secret: 1\r\nx-secret: 2\r\n' +
      'Keep-Alive: 5\r\nTE: trailers\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\nProxy: evil\r\nX-Kept: 3\r\n\r\n',
    originSees: seen('GET /', 'Host: a\r\nX-Kept: 3\r\n'),
    originSends: OK,
    clientSees: OK + IN_STEP,
  },
  {
    name: 'what a client claims about itself goes, whichever way it spells it',
    clientSends:
      'GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nx-forwarded-proto: https\r\nX-FORWARDED-HOST: evil\r\n' +
      'Forwarded: for=6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nX-Forwarded_Proto: https\r\nX-Forwarded-Port: 1\r\n' +
      'X-Forwarded-Prefix: /x\r\nX-Real-IP: 6.6.6.6\r\nX_Real_IP: 6.6.6.6\r\n\r\n',
    originSees: seen('GET /', 'Host: a\r\n'),
    originSends: OK,
    clientSees: OK + IN_STEP,
  },
  {
    name: 'twins of framing fields, which to many origins are the fields themselves',
    clientSends:
      'POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 9\r\nTransfer_Encoding: chunked\r\nKeep_Alive: x\r\n' +
      'Proxy_Authorization: x\r\nX_Other: kept\r\nContent-Length: 2\r\n\r\nhi',
    originSees: `${seen('POST /', 'Host: a\r\nX_Other: kept\r\nContent-Length: 2\r\n')}hi`,
    originSends: OK,
    clientSees: OK + IN_STEP,
  },
  {
    name: 'a Via that is there is extended',
    clientSends: 'GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 fred, 1.1 p\r\nX: y\r\n\r\n',
    originSees: seen('GET /', 'Host: a\r\nX: y\r\n').replace(
      'Via: 1.1',
      'Via: 1.0 fred, 1.1 p, 1.1',
    ),
    originSends: OK,
    clientSees: OK + IN_STEP,
  },
  {
    name: 'a client of HTTP/1.0 is a client of HTTP/1.1 to the origin, and its connection closes',
    clientSends: 'GET / HTTP/1.0\r\nHost: a\r\n\r\n',
    originSees: seen('GET /', 'Host: a\r\n').replace('1.1 sluice', '1.0 sluice'),
    originSends:
      'HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n',
    clientSees: 'HTTP/1.1 200 OK\r\nDate: now\r\nConnection: close\r\n\r\nok',
  },
  {
    name: 'a client of HTTP/1.0 that asks to stay, may if the answer has a length',
    clientSends:
      'POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi',
    originSees: `${seen('POST /', 'Host: a\r\nContent-Length: 2\r\n').replace('1.1 sluice', '1.0 sluice')}hi`,
    originSends: OK,
    clientSees: `HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok${IN_STEP}`,
  },
  {
    name: 'an expectation of HTTP/1.0 means nothing and goes no further',
    clientSends:
      'POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi',
    originSees: `${seen('POST /', 'Host: a\r\nContent-Length: 2\r\n').replace('1.1 sluice', '1.0 sluice')}hi`,
    originSends: `HTTP/1.1 100 Continue\r\n\r\n${OK}`,
    clientSees: 'HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok',
  },
  {
    name: 'a client that closes, gets its answer first, and what it sent after that is no request',
    clientSends:
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n',
    originSees: seen('GET /', 'Host: a\r\n'),
    originSends: OK,
    clientSees: 'HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok',
  },
];

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const SEEN_GET = seen('GET /', 'Host: a\r\n');
const HEAD = GET.replace('GET', 'HEAD');
const SEEN_HEAD = SEEN_GET.replace('GET', 'HEAD');

const answers: readonly WireRow[] = [
  {
    name: 'an answer keeps its reason and the case, order and repetitions of its fields',
    clientSends: GET,
    originSees: SEEN_GET,
    originSends:
      'HTTP/1.1 200 Fine\xe4 by me\r\nsEt-CookIE: a\r\nDate: now\r\nSet-Cookie: b\r\nX:  1 \r\nset-cookie: a\r\ncontent-length: 0\r\nY: z\r\n\r\n',
    clientSees: `HTTP/1.1 200 Fine\xe4 by me\r\nsEt-CookIE: a\r\nDate: now\r\nSet-Cookie: b\r\nX: 1\r\nset-cookie: a\r\ncontent-length: 0\r\nY: z\r\n\r\n${IN_STEP}`,
  },
  {
    name: 'what Connection names in an answer goes too',
    clientSends: GET,
    originSees: SEEN_GET,
    originSends:
      'HTTP/1.1 200 OK\r\nDate: now\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Authenticate: x\r\nUpgrade: h2c\r\nTrailer: a\r\nContent-Length: 2\r\n\r\nok',
    clientSees: OK + IN_STEP,
  },
  {
    name: 'a chunked answer is framed anew; its trailers follow, without those that are no trailers',
    clientSends: GET,
    originSees: SEEN_GET,
    originSends:
      'HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nX-Sum: 1\r\nSet-Cookie: evil\r\n\r\n',
    clientSees: `HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n${IN_STEP}`,
  },
  {
    name: 'a body that ends with the connection is chunked for the client',
    clientSends: GET,
    originSees: SEEN_GET,
    originSends: 'HTTP/1.1 200 OK\r\nDate: now\r\n\r\nhello',
    originEnds: true,
    clientSees: `HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n${IN_STEP}`,
  },
  {
    name: 'an origin of HTTP/1.0 is an origin like others',
    clientSends: GET,
    originSees: SEEN_GET,
    originSends: 'HTTP/1.0 404 Nope\r\nDate: now\r\n\r\nhello',
    originEnds: true,
    clientSees: `HTTP/1.1 404 Nope\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n${IN_STEP}`,
  },
  {
    name: 'what an origin says beyond the length of its answer reaches nobody',
    clientSends: GET,
    originSees: SEEN_GET,
    originSends: `${OK}HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned`,
    clientSees: OK + IN_STEP,
  },
  {
    name: 'HEAD has the length of a body that does not follow',
    clientSends: HEAD,
    originSees: SEEN_HEAD,
    originSends: 'HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 10\r\n\r\n',
    clientSees: `HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 10\r\n\r\n${IN_STEP}`,
  },
  {
    name: 'HEAD has no length that the origin did not send',
    clientSends: HEAD,
    originSees: SEEN_HEAD,
    originSends: 'HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n',
    clientSees: `HTTP/1.1 200 OK\r\nDate: now\r\n\r\n${IN_STEP}`,
  },
  {
    name: 'a body that an origin sends with its answer to HEAD reaches nobody',
    clientSends: HEAD,
    originSees: SEEN_HEAD,
    originSends: 'HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 5\r\n\r\nhello',
    clientSees: `HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 5\r\n\r\n${IN_STEP}`,
  },
  {
    name: '304 has the length of a body that does not follow',
    clientSends: GET,
    originSees: SEEN_GET,
    originSends: 'HTTP/1.1 304 Not Modified\r\nDate: now\r\nContent-Length: 10\r\n\r\n',
    clientSees: `HTTP/1.1 304 Not Modified\r\nDate: now\r\nContent-Length: 10\r\n\r\n${IN_STEP}`,
  },
  {
    name: '204 has no length, whatever the origin says',
    clientSends: GET,
    originSees: SEEN_GET,
    originSends: 'HTTP/1.1 204 No Content\r\nDate: now\r\nContent-Length: 10\r\n\r\n',
    clientSees: `HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n${IN_STEP}`,
  },
  {
    name: 'interim answers come before the final one, with their fields and without a length',
    clientSends: GET,
    originSees: SEEN_GET,
    originSends: `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 5\r\nlink: </b>\r\n\r\nHTTP/1.1 102 Processing\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n${OK}`,
    clientSees: `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nlink: </b>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${OK}${IN_STEP}`,
  },
  {
    name: 'interim answers do not reach a client of HTTP/1.0',
    clientSends: 'GET / HTTP/1.0\r\nHost: a\r\n\r\n',
    originSees: SEEN_GET.replace('1.1 sluice', '1.0 sluice'),
    originSends: `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${OK}`,
    clientSees: 'HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok',
  },
];

test('on its way through Sluice', async (t) => {
  const wire = await startWire(t);
  for (const row of [...requests, ...answers]) {
    await t.test(row.name, (t) => runRow(t, wire, row));
  }
});

/** Between a trusted proxy and an origin, with everything said that can be said. */
const CHAIN = 'X-Forwarded-For: 203.0.113.9, 127.0.0.1\r\n';
const PROTO = 'X-Forwarded-Proto: https\r\n';
const HOST = 'X-Forwarded-Host: shop.test\r\n';
const ELEMENT = 'for=127.0.0.1;proto=http;host="a"';

const behindProxies: readonly WireRow[] = [
  {
    name: 'the word of a trusted proxy is kept, and extended',
    clientSends: `GET / HTTP/1.1\r\nHost: a\r\nx-forwarded-for: 203.0.113.9\r\n${PROTO}${HOST}X-Forwarded-Port: 443\r\nForwarded: for=203.0.113.9\r\nVia: 1.0 cdn\r\n\r\n`,
    originSees: `GET / HTTP/1.1\r\nHost: a\r\n${PROTO}${HOST}X-Forwarded-Port: 443\r\n${CHAIN}Forwarded: for=203.0.113.9, ${ELEMENT}\r\nVia: 1.0 cdn, 1.1 edge\r\n\r\n`,
    originSends: OK,
    clientSees: OK + IN_STEP,
  },
  {
    name: 'what it does not say, we say; and nobody can name it away',
    clientSends:
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Forwarded-For, Forwarded, Via, X-Forwarded-Proto\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n',
    originSees: `GET / HTTP/1.1\r\nHost: a\r\n${CHAIN}X-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\nForwarded: ${ELEMENT}\r\nVia: 1.1 edge\r\n\r\n`,
    originSends: OK,
    clientSees: OK.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'),
  },
  {
    name: 'twins pass from nobody',
    clientSends:
      'GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 6.6.6.6\r\nX-Forwarded_Proto: https\r\nX_Real_IP: 6.6.6.6\r\n\r\n',
    originSees: `GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\nForwarded: ${ELEMENT}\r\nVia: 1.1 edge\r\n\r\n`,
    originSends: OK,
    clientSees: OK + IN_STEP,
  },
];

test('on its way from a trusted proxy', async (t) => {
  const wire = await startWire(
    t,
    'trusted_proxies: [127.0.0.0/8]\n        forwarded: true\n        via: edge',
  );
  for (const row of behindProxies) await t.test(row.name, (t) => runRow(t, wire, row));
});

const edited: readonly WireRow[] = [
  {
    name: 'nobody forges what the route sets, adds, removes or judges',
    clientSends:
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: X-User, X-Api-Key\r\nX-User: root\r\nX_User: root\r\nx_user: root\r\n' +
      'X-Api-Key: k\r\nX_Api_Key: root\r\nX-Internal: 1\r\nX_Internal: 1\r\nX_Added: 1\r\nX-Added: mine\r\nX_Free: 1\r\n\r\n',
    originSees: `GET / HTTP/1.1\r\nHost: a\r\nX-Added: mine\r\nX_Free: 1\r\n${ADDED}X-User: guest\r\nX-Added: ours\r\n\r\n`,
    originSends:
      'HTTP/1.1 200 OK\r\nDate: now\r\nConnection: close, X-Frame\r\nX-Frame: theirs\r\nServer: them\r\nContent-Length: 0\r\n\r\n',
    clientSees: `HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 0\r\nX-Frame: ours\r\n\r\n${IN_STEP}`,
  },
];

test('on its way through a route that edits fields', async (t) => {
  const wire = await startWire(
    t,
    '',
    '',
    `- upstream: api
            auth: { api_key: { keys: [k] } }
            request_headers: { set: { X-User: guest }, add: { X-Added: ours }, remove: [X-Internal] }
            response_headers: { set: { X-Frame: ours }, remove: [Server] }`,
  );
  for (const row of edited) await t.test(row.name, (t) => runRow(t, wire, row));
});
