import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { collide, showPlace, type Place } from '../../../../src/shared/ipc/place.ts';

const tcp = (host: string, port: number): Place => ({ host, port });
const unix = (path: string): Place => ({ path, mode: 0o660 });

const cases: { left: Place; right: Place; doCollide: boolean }[] = [
  { left: tcp('127.0.0.1', 80), right: tcp('127.0.0.1', 80), doCollide: true },
  { left: tcp('localhost', 80), right: tcp('127.0.0.1', 80), doCollide: true },
  { left: tcp('0.0.0.0', 80), right: tcp('127.0.0.1', 80), doCollide: true },
  { left: tcp('::', 80), right: tcp('::1', 80), doCollide: true },
  { left: tcp('::', 80), right: tcp('127.0.0.1', 80), doCollide: false },
  { left: tcp('0.0.0.0', 80), right: tcp('::', 80), doCollide: false },
  { left: tcp('127.0.0.1', 80), right: tcp('127.0.0.1', 81), doCollide: false },
  { left: tcp('127.0.0.1', 80), right: tcp('127.0.0.2', 80), doCollide: false },
  { left: tcp('127.0.0.1', 0), right: tcp('127.0.0.1', 0), doCollide: false },
  { left: unix('/a'), right: unix('/a'), doCollide: true },
  { left: unix('/a'), right: unix('/b'), doCollide: false },
  { left: unix('/a'), right: tcp('0.0.0.0', 80), doCollide: false },
];

describe('two places to listen on', () => {
  for (const { left, right, doCollide } of cases) {
    test(`${showPlace(left)} and ${showPlace(right)} ${doCollide ? 'collide' : 'do not collide'}`, () => {
      assert.equal(collide(left, right), doCollide);
      assert.equal(collide(right, left), doCollide);
    });
  }

  test('are shown as they are written', () => {
    assert.equal(showPlace(tcp('::1', 80)), '[::1]:80');
    assert.equal(showPlace(tcp('127.0.0.1', 80)), '127.0.0.1:80');
    assert.equal(showPlace(unix('/run/x.sock')), 'unix:/run/x.sock');
  });
});
