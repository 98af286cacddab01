import path from 'node:path';
import { expect, test } from 'vitest';
import { readServeConfig } from './serve-config.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const NOT_SET = {
  PLIMSOLL_KV_BYTES: '',
  PLIMSOLL_PREFIX_CACHE: '',
  PLIMSOLL_PUBLIC_PREFIXES: '',
  PLIMSOLL_SPECULATION: '',
};

test('with no variables, or only empty ones, the default is the demo on port 8787', () => {
  const demo = {
    port: 8787,
    backends: 1,
    dataDir: path.join(ROOT, '.plimsoll'),
    bundles: null,
    idleUnloadMinutes: null,
    threads: '0',
    provider: 'cpu',
    context: null,
    variables: NOT_SET,
    pull: true,
    tenants: null,
    moreNames: [],
    corsOrigins: ['loopback'],
  };
  expect(readServeConfig({})).toEqual(demo);
  expect(readServeConfig({ PORT: '', PLIMSOLL_DATA: '' })).toEqual(demo);
});

test('several backends share the cores, unless the number of threads is set', () => {
  expect(Number(readServeConfig({ PLIMSOLL_BACKENDS: '64' }).threads)).toBeGreaterThanOrEqual(1);
  expect(readServeConfig({ PLIMSOLL_BACKENDS: '2', PLIMSOLL_THREADS: '3' }).threads).toBe('3');
});

test('an option overrides the environment, and an error names the option', () => {
  expect(readServeConfig({ PORT: '1' }, { port: '8803' }).port).toBe(8803);
  expect(() => readServeConfig({ PORT: '1' }, { port: 'http' })).toThrow(/^--port: a port is a number/);
  expect(readServeConfig({ PLIMSOLL_PROVIDER: 'cuda' }, { provider: 'auto' }).provider).toBe('auto');
  expect(() => readServeConfig({}, { provider: 'gpu' })).toThrow(/^--provider: /);
  expect(readServeConfig({ PLIMSOLL_CONTEXT: '512' }, { context: '4096' }).context).toBe(4096);
  expect(() => readServeConfig({}, { context: 'all' })).toThrow(/^--context: /);
});

test('what only backends read goes to them as it is, from an option or else from the environment', () => {
  const env = { PLIMSOLL_KV_BYTES: '1000', PLIMSOLL_PREFIX_CACHE: '', PLIMSOLL_SPECULATION: 'on' };
  expect(readServeConfig(env).variables).toEqual({
    ...NOT_SET,
    PLIMSOLL_KV_BYTES: '1000',
    PLIMSOLL_SPECULATION: 'on',
  });
  const flags = { kvBytes: '2000', prefixCache: '0', publicPrefixes: 'shared.json', speculation: false };
  expect(readServeConfig(env, flags).variables).toEqual({
    PLIMSOLL_KV_BYTES: '2000',
    PLIMSOLL_PREFIX_CACHE: '0',
    PLIMSOLL_PUBLIC_PREFIXES: 'shared.json',
    PLIMSOLL_SPECULATION: 'off',
  });
});

test('what is wrong for backends is wrong for serve, and all problems come at once', () => {
  expect(() => readServeConfig({}, { kvBytes: 'much' })).toThrow(/^--kv-bytes: found "much", wanted a number$/);
  expect(() => readServeConfig({}, { prefixCache: '-1' })).toThrow(/^--prefix-cache: /);
  expect(() => readServeConfig({ PLIMSOLL_SPECULATION: 'maybe' }, { port: 'http' })).toThrow(
    /^--port: .*\nPLIMSOLL_SPECULATION: .*$/,
  );
});

test('bundles come from options, or else from a list of folders, or else from one folder', () => {
  const bundlesOf = (env: Record<string, string>, bundles: string[] = []) => readServeConfig(env, { bundles }).bundles;
  expect(bundlesOf({ PLIMSOLL_BUNDLE: '/a,b' })).toEqual([path.resolve('/a,b')]);
  const list = ['x', '', ' y'].join(path.delimiter);
  expect(bundlesOf({ PLIMSOLL_BUNDLES: `${list},z` })).toEqual(['x', 'y', 'z'].map((dir) => path.resolve(dir)));
  expect(bundlesOf({ PLIMSOLL_BUNDLES: 'x' }, ['one,1', 'two'])).toEqual([path.resolve('one,1'), path.resolve('two')]);
  expect(() => bundlesOf({ PLIMSOLL_BUNDLE: 'a', PLIMSOLL_BUNDLES: 'b' })).toThrow(/^PLIMSOLL_BUNDLES: .*only one/);
});

test('the minutes before a bundle is unloaded may be a fraction, and 0 is not the same as unset', () => {
  expect(readServeConfig({ PLIMSOLL_IDLE_UNLOAD_MINUTES: '0.5' }).idleUnloadMinutes).toBe(0.5);
  expect(readServeConfig({ PLIMSOLL_IDLE_UNLOAD_MINUTES: '0' }).idleUnloadMinutes).toBe(0);
});

test('a model may be fetched, unless the option or the variable says no', () => {
  expect(readServeConfig({ PLIMSOLL_NO_PULL: '1' }).pull).toBe(false);
  expect(readServeConfig({ PLIMSOLL_NO_PULL: '0' }).pull).toBe(true);
  expect(readServeConfig({ PLIMSOLL_NO_PULL: '0' }, { pull: false }).pull).toBe(false);
});

test('tenants come from a folder that an option names, or else a variable', () => {
  expect(readServeConfig({ PLIMSOLL_TENANTS: 'mine' }).tenants).toBe(path.resolve('mine'));
  expect(readServeConfig({ PLIMSOLL_TENANTS: 'mine' }, { tenants: 'ours' }).tenants).toBe(path.resolve('ours'));
});

test('host names are split at commas and lower-cased', () => {
  expect(readServeConfig({ PLIMSOLL_NAMES: 'Plimsoll.test, my-laptop' }).moreNames).toEqual([
    'plimsoll.test',
    'my-laptop',
  ]);
});

test.each([
  ['PLIMSOLL_NAMES', 'http://plimsoll.test'],
  ['PLIMSOLL_NAMES', 'plimsoll.test:8787'],
  ['PLIMSOLL_NO_PULL', 'yes'],
  ['PORT', 'http'],
  ['PORT', '65536'],
  ['PORT', '-1'],
  ['PLIMSOLL_BACKENDS', '0'],
  ['PLIMSOLL_BACKENDS', '1.5'],
  ['PLIMSOLL_PROVIDER', 'gpu'],
  ['PLIMSOLL_CONTEXT', '15'],
  ['PLIMSOLL_CONTEXT', '1.5'],
  ['PLIMSOLL_KV_BYTES', '0'],
  ['PLIMSOLL_KV_BYTES', 'much'],
  ['PLIMSOLL_PREFIX_CACHE', '1.5'],
  ['PLIMSOLL_IDLE_UNLOAD_MINUTES', '-1'],
  ['PLIMSOLL_IDLE_UNLOAD_MINUTES', 'soon'],
  ['PLIMSOLL_IDLE_UNLOAD_MINUTES', '99999'],
])('refuses %s=%s and names the variable', (name, value) => {
  expect(() => readServeConfig({ [name]: value })).toThrow(new RegExp(`^${name}: `));
});
