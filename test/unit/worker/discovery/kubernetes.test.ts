import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import {
  kubernetesPeers,
  type KubernetesOptions,
} from '../../../../src/worker/discovery/kubernetes/kubernetes.ts';
import { authority, makeAuthority } from '../../../support/index.ts';
import {
  endpointSlice,
  startKubernetesApi,
  type KubernetesApi,
} from '../../../support/kubernetes-api.ts';
import { watching } from './watching.ts';

const PATH = '/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices';

describe('the pods behind a service of Kubernetes', () => {
  test('are listed, page by page, and then watched from that version on', async (t) => {
    const { api, tokenFile, watch } = await scene(t);

    const list = await api.next();
    assert.equal(list.path, PATH);
    assert.equal(list.query.get('labelSelector'), 'kubernetes.io/service-name=cart');
    assert.equal(list.authorization, 'Bearer first-token');
    list.answer(200, page('10', [endpointSlice('a', '7', ['10.0.0.1'])], 'more'));
    const second = await api.next();
    assert.equal(second.query.get('continue'), 'more');
    second.answer(200, page('10', [endpointSlice('b', '8', ['10.0.0.2'])]));
    assert.deepEqual(await watch.addresses(), ['10.0.0.1:8080', '10.0.0.2:8080']);

    const opened = await api.next();
    assert.equal(opened.path, PATH);
    assert.equal(opened.query.get('watch'), '1');
    assert.equal(opened.query.get('allowWatchBookmarks'), 'true');
    assert.equal(opened.query.get('resourceVersion'), '10');
    opened.open();
    assert.deepEqual(await watch.addresses(), ['10.0.0.1:8080', '10.0.0.2:8080']);
    opened.send({ type: 'MODIFIED', object: endpointSlice('a', '11', ['10.0.0.1', '10.0.0.3']) });
    assert.deepEqual(await watch.addresses(), ['10.0.0.1:8080', '10.0.0.3:8080', '10.0.0.2:8080']);
    opened.send({ type: 'DELETED', object: endpointSlice('a', '12', []) });
    assert.deepEqual(await watch.addresses(), ['10.0.0.2:8080']);

    // A bookmark tells nothing but a version, and that the server still tells.
    opened.send({ type: 'BOOKMARK', object: { metadata: { resourceVersion: '40' } } });
    assert.deepEqual(await watch.addresses(), ['10.0.0.2:8080']);
    writeFileSync(tokenFile, 'second-token\n');
    opened.end();
    const next = await api.next();
    assert.equal(next.query.get('resourceVersion'), '40');
    assert.equal(next.authorization, 'Bearer second-token');
    next.open();
    await watch.addresses();
    watch.stop();
    await next.left;
    await watch.ended;
  });

  test('are listed anew when the server does not know their version any more', async (t) => {
    const { api, watch } = await scene(t);
    (await api.next()).answer(200, page('10', [endpointSlice('a', '7', ['10.0.0.1'])]));
    await watch.addresses();
    const opened = await api.next();
    opened.open();
    await watch.addresses();
    opened.send({ type: 'ADDED', object: endpointSlice('b', '11', ['10.0.0.2']) });
    await watch.addresses();
    opened.send({ type: 'ERROR', object: { code: 410, message: 'too old resource version' } });

    const list = await api.next();
    assert.equal(list.query.get('watch'), null);
    list.answer(200, page('90', [endpointSlice('c', '88', ['10.0.0.3'])]));
    assert.deepEqual(await watch.addresses(), ['10.0.0.3:8080']);

    // An answer may say so as well; and nobody is asked again and again without a pause.
    (await api.next()).answer(410, { message: 'gone' });
    assert.ok((await watch.pause()) >= 500);
    const again = await api.next();
    assert.equal(again.query.get('watch'), null);
  });

  test('stay when the server fails or the watch breaks, and the watch goes on', async (t) => {
    const { api, watch } = await scene(t);
    (await api.next()).answer(503, { message: 'etcd is away' });
    assert.deepEqual(await watch.told(), {
      failed: `GET ${api.url}${PATH}: answered 503: etcd is away`,
    });
    assert.ok((await watch.pause()) <= 1_000);
    (await api.next()).answer(200, page('10', [endpointSlice('a', '7', ['10.0.0.1'])]));
    await watch.addresses();
    const opened = await api.next();
    opened.open();
    await watch.addresses();
    opened.cut();
    assert.ok('failed' in (await watch.told()));
    assert.ok((await watch.pause()) <= 1_000);
    const next = await api.next();
    assert.equal(next.query.get('resourceVersion'), '10');
    next.open();
    assert.deepEqual(await watch.addresses(), ['10.0.0.1:8080']);
  });

  test('may be none', async (t) => {
    const { api, watch } = await scene(t);
    (await api.next()).answer(200, page('10', []));
    assert.deepEqual(await watch.addresses(), []);
  });

  test('are watched although they have not the port that is asked for, since they may get it', async (t) => {
    const { api, watch } = await scene(t, { port: 'grpc' });
    (await api.next()).answer(200, page('10', [endpointSlice('a', '7', ['10.0.0.1'])]));
    assert.deepEqual(await watch.told(), {
      failed: 'EndpointSlice a: expected port grpc, got http (8080)',
    });
    const opened = await api.next();
    opened.open();
    await watch.told();
    const slice = {
      ...endpointSlice('a', '11', ['10.0.0.1']),
      ports: [{ name: 'grpc', port: 90 }],
    };
    opened.send({ type: 'MODIFIED', object: slice });
    assert.deepEqual(await watch.addresses(), ['10.0.0.1:90']);
  });

  test('are believed only from a server that the authorities vouch for', async (t) => {
    const { watch } = await scene(t, {}, makeAuthority('Somebody else').cert);
    const told = await watch.told();
    assert.match('failed' in told ? told.failed : '', /GET https:.*: unable to verify|self.signed/);
  });

  const refused = [
    { options: { service: 'Cart' }, says: /service: expected a name, got "Cart"/ },
    { options: { apiServer: 'http://api' }, says: /expected "https:\/\/host:port"/ },
    { options: { servce: 'x' }, says: /did you mean "service"/ },
  ];
  for (const { options, says } of refused) {
    test(`cannot be looked for with ${JSON.stringify(options)}`, () => {
      assert.throws(() => kubernetesPeers({ service: 'cart', ...options }), says);
    });
  }

  test('are not found outside of a cluster, which is said', async (t) => {
    const told = await watching(t, kubernetesPeers({ service: 'cart', namespace: 'shop' })).told();
    assert.match('failed' in told ? told.failed : '', /KUBERNETES_SERVICE_HOST is not set/);
  });
});

async function scene(
  t: TestContext,
  more: Partial<KubernetesOptions> = {},
  ca: string = authority.cert,
) {
  const api: KubernetesApi = await startKubernetesApi(t);
  const folder = mkdtempSync(join(tmpdir(), 'sluice-account-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const files = { tokenFile: join(folder, 'token'), caFile: join(folder, 'ca.crt') };
  writeFileSync(files.tokenFile, 'first-token\n');
  writeFileSync(files.caFile, ca);
  const options = { service: 'cart', namespace: 'shop', apiServer: api.url, ...files, ...more };
  return { api, tokenFile: files.tokenFile, watch: watching(t, kubernetesPeers(options)) };
}

function page(resourceVersion: string, items: readonly object[], next?: string): object {
  return { metadata: { resourceVersion, continue: next }, items };
}
