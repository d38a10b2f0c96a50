/** A program with metrics of its own, counted in its phases. */
import { HttpPeer, httpProxyService, metrics, Server } from 'sluice';

const orders = metrics.counter({
  name: 'shop_orders_total',
  help: 'Orders, by whose they are.',
  labels: { tenant: { max: 2 }, kind: ['new', 'again'] },
});
const sizes = metrics.histogram({
  name: 'shop_order_items',
  help: 'Items of an order.',
  buckets: [1, 10],
});
const open = metrics.gauge({ name: 'shop_open_orders', help: 'Orders that are being worked on.' });

const server = Server.fromArgs();
const { broken } = server.configuration as { broken?: 'name' | 'late' };
if (broken === 'name') metrics.gauge({ name: 'shop_open_orders', help: 'Once more.' });
const peer = new HttpPeer('127.0.0.1:1');

server.addService(
  httpProxyService({
    requestFilter(session) {
      const [, tenant = '', items = '', kind = 'new'] = session.request.target.split('/');
      orders.with({ tenant, kind: kind === 'again' ? 'again' : 'new' }).add();
      sizes.observe(Number(items));
      open.add(1);
      if (broken === 'late') metrics.gauge({ name: 'shop_late', help: 'Too late.' });
      return session.respond({ status: 200 });
    },
    upstreamPeer: () => peer,
  }).addTcp('127.0.0.1:0'),
);
server.onStart(() => orders.with({ tenant: 'supervisor', kind: 'new' }).add());
await server.run();
