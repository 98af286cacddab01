import { Command } from 'commander';
import { expect, test } from 'vitest';
import { readServeConfig } from '../local/serve-config.ts';
import { addBackendOptions, type BackendFlags, backendVariables, optionOf } from './backend-options.ts';

/** What a command with these options hands to its action. */
function flagsOf(...args: string[]): BackendFlags {
  return addBackendOptions(new Command()).parse(args, { from: 'user' }).opts<BackendFlags>();
}

test('each option stands for its variable', () => {
  const args = ['--provider', 'webgpu', '--context', '512', '--kv-bytes', '1000000', '--prefix-cache', '0'];
  expect(backendVariables(flagsOf(...args, '--public-prefixes', 'shared.json', '--no-speculation'))).toEqual({
    PLIMSOLL_PROVIDER: 'webgpu',
    PLIMSOLL_CONTEXT: '512',
    PLIMSOLL_KV_BYTES: '1000000',
    PLIMSOLL_PREFIX_CACHE: '0',
    PLIMSOLL_PUBLIC_PREFIXES: 'shared.json',
    PLIMSOLL_SPECULATION: 'off',
  });
});

test('an option that was not given stands for nothing', () => {
  expect(backendVariables(flagsOf())).toEqual({});
});

test('an error can name the option in place of its variable', () => {
  expect(optionOf('PLIMSOLL_KV_BYTES')).toBe('--kv-bytes');
  expect(optionOf('PLIMSOLL_SPECULATION')).toBe('--no-speculation');
  expect(optionOf('PLIMSOLL_DATA')).toBeUndefined();
});

test('what commander gives is what serve reads, and its backends inherit nothing else', () => {
  const { variables } = readServeConfig({ PLIMSOLL_KV_BYTES: '1' }, flagsOf('--kv-bytes', '2', '--no-speculation'));
  expect(variables).toEqual({
    PLIMSOLL_KV_BYTES: '2',
    PLIMSOLL_PREFIX_CACHE: '',
    PLIMSOLL_PUBLIC_PREFIXES: '',
    PLIMSOLL_SPECULATION: 'off',
  });
});
