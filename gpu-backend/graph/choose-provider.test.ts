import { expect, test, vi } from 'vitest';
import { chooseProvider, type Outcome } from './choose-provider.ts';
import type { Provider } from './provider.ts';

const WORKS: Outcome = { works: true, realGpu: true };
const IMITATED: Outcome = { works: true, realGpu: false };
const fails = (why: string): Outcome => ({ works: false, why });

const choose = (choice: Parameters<typeof chooseProvider>[0], outcomes: Partial<Record<Provider, Outcome>>) =>
  chooseProvider(choice, { probe: async (provider) => outcomes[provider] ?? fails(`no ${provider}`) });

test.each<[string, Partial<Record<Provider, Outcome>>, Provider, RegExp[]]>([
  ['CUDA before all others', { cuda: WORKS, webgpu: WORKS }, 'cuda', []],
  ['WebGPU on a real GPU where CUDA does not work', { webgpu: WORKS }, 'webgpu', [/^no cuda$/]],
  ['the CPU before an imitated GPU', { webgpu: IMITATED }, 'cpu', [/^no cuda$/, /perhaps not on a real GPU/]],
  ['the CPU where nothing else works', {}, 'cpu', [/^no cuda$/, /^no webgpu$/]],
])('auto takes %s, and says why it passed over the others', async (_, outcomes, provider, why) => {
  const passedOver = why.map((pattern) => expect.stringMatching(pattern));
  expect(await choose('auto', outcomes)).toEqual({ provider, passedOver });
});

test('a provider that was named is taken, also on an imitated GPU, or else it is an error', async () => {
  expect(await choose('webgpu', { cuda: WORKS, webgpu: IMITATED })).toEqual({ provider: 'webgpu', passedOver: [] });
  await expect(choose('webgpu', { cuda: WORKS })).rejects.toThrow(/^no webgpu$/);
  await expect(choose('cuda', { webgpu: WORKS })).rejects.toThrow(/^no cuda$/);
});

test('the CPU is taken without a try', async () => {
  const probe = vi.fn();
  expect(await chooseProvider('cpu', { probe })).toEqual({ provider: 'cpu', passedOver: [] });
  expect(probe).not.toHaveBeenCalled();
});
