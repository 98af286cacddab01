import { expect, test } from 'vitest';
import { parseHostNames, refuseForeignHost } from './host-names.ts';

const NAMES = ['localhost', '127.0.0.1', '[::1]'];

test('reads a list with spaces, capitals and a comma at its end', () => {
  expect(parseHostNames('A.test, b.test,')).toEqual(['a.test', 'b.test']);
});

test('serves our own names, on any port and in any case', () => {
  for (const host of ['localhost', 'LocalHost:8787', '127.0.0.1:1', '[::1]', '[::1]:8787'])
    expect(() => refuseForeignHost(host, NAMES), host).not.toThrow();
});

test('refuses any other name, and says which names it serves', () => {
  for (const host of ['', 'evil.example', 'localhost.evil.example', 'evil.example:8787', '127.0.0.1.', '::1', ':8787'])
    expect(() => refuseForeignHost(host, NAMES), host).toThrow('only for localhost, 127.0.0.1, [::1]');
});
