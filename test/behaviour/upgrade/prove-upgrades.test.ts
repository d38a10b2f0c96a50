/** As many upgrades as fit into the time, ten of them on a machine that is not busy. */
import { test } from 'node:test';
import { proveLossless } from '../../support/prove.ts';

test('six upgrades lose nothing', (t) => proveLossless(t, ['--upgrades', '6'], 'upgrades'));

test('upgrades with more workers, and with fewer, lose nothing', (t) =>
  proveLossless(t, ['--upgrades', '4', '--resize'], 'upgrades'));
