/** Addresses that count as one. */
import { expect, test } from 'vitest';
import { clientAddress } from './client-address.ts';

test.each([
  ['192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:DB8:1:2::6', '2001:db8:1:2::/64'],
  ['2001:0db8:0001:0002:ffff::', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
])('%s counts as %s', (address, name) => {
  expect(clientAddress(new Request('http://edge/', { headers: { 'cf-connecting-ip': address } }))).toBe(name);
});

test('of a request that nobody named one for, there is none', () => {
  expect(clientAddress(new Request('http://edge/'))).toBeNull();
});
