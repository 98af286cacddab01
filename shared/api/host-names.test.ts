import { expect, test } from 'vitest';
import { parseHostNames, refuseForeignHost } from './host-names.ts';

const NAMES = ['localhost', '127.0.0.1', '[::1]'];

test('a list may have spaces, capitals and a comma at its end', () => {
  expect(parseHostNames('A.test, b.test,')).toEqual(['a.test', 'b.test']);
});

test('a name of ours is served, at any port and in any case', () => {
  for (const host of ['localhost', 'LocalHost:8787', '127.0.0.1:1', '[::1]', '[::1]:8787'])
    expect(() => refuseForeignHost(host, NAMES), host).not.toThrow();
});

test('any other is refused, and the error says which are served', () => {
  for (const host of ['', 'evil.example', 'localhost.evil.example', 'evil.example:8787', '127.0.0.1.', '::1', ':8787'])
    expect(() => refuseForeignHost(host, NAMES), host).toThrow('only for localhost, 127.0.0.1, [::1]');
});
