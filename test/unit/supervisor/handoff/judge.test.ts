import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { judge } from '../../../../src/supervisor/handoff/judge.ts';
import type { Offer } from '../../../../src/supervisor/handoff/messages.ts';
import { unitIn } from '../../../../src/supervisor/handoff/unit.ts';

const OFFER: Offer = {
  kind: 'offer',
  versions: { oldest: 1, newest: 1 },
  release: '1.0.0',
  pid: 1,
  conf: undefined,
  unit: undefined,
  descriptors: 100,
};
const HERE = { unit: undefined, openFilesLimit: 1_024, openFiles: 30 };

describe('an offer', () => {
  test('is taken where there is room for it', () => {
    assert.equal(judge(OFFER, HERE), undefined);
  });

  test('of a service is taken inside of that service only', () => {
    const offer = { ...OFFER, unit: 'sluice.service' };
    assert.equal(judge(offer, { ...HERE, unit: 'sluice.service' }), undefined);
    for (const unit of [undefined, 'other.service'])
      assert.match(judge(offer, { ...HERE, unit }) ?? '', /systemctl reload sluice\.service$/);
  });

  test('may move a process that no service has into one', () => {
    assert.equal(judge(OFFER, { ...HERE, unit: 'sluice.service' }), undefined);
  });

  test('needs each descriptor twice, since workers get copies', () => {
    const offer = { ...OFFER, descriptors: 465 };
    assert.equal(judge(offer, HERE), undefined);
    assert.match(
      judge({ ...offer, descriptors: 466 }, HERE) ?? '',
      /^466 sockets and segments need 1026 open files and the limit is 1024; raise it/,
    );
  });
});

describe('the systemd service of a process', () => {
  const cases = [
    { name: 'cgroup v2', cgroups: '0::/system.slice/sluice.service\n', unit: 'sluice.service' },
    {
      name: 'cgroup v1',
      cgroups: '4:memory:/system.slice/x.service\n1:name=systemd:/system.slice/sluice.service\n',
      unit: 'sluice.service',
    },
    {
      name: 'an instance',
      cgroups: '0::/system.slice/system-a.slice/a@1.service\n',
      unit: 'a@1.service',
    },
    {
      name: 'a session',
      cgroups: '0::/user.slice/user-0.slice/session-1.scope\n',
      unit: undefined,
    },
    { name: 'a container', cgroups: '0::/\n', unit: undefined },
    { name: 'something else', cgroups: '', unit: undefined },
  ];
  for (const { name, cgroups, unit } of cases) {
    test(`in ${name} is ${unit ?? 'none'}`, () => {
      assert.equal(unitIn(cgroups, { INVOCATION_ID: 'abc' }), unit);
      assert.equal(unitIn(cgroups, {}), undefined, 'not started by systemd');
    });
  }
});
