/**
 * What it costs to have a decision about a prompt: to make it, to find it in the isolate, and what
 * the Cache API would cost in between. Each route does the same thing `n` times, so that it can be
 * timed from outside: a Worker's clock stands still while it works.
 */
import { STRICTEST } from '#policies/schema.ts';
import { createClassifier } from '#shared/classify/classify.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import classifierModel from '../../../models/classifier/classifier.bin';
import { createDecide } from '../../gateway/decide.ts';
import type { Caller } from '../../request/tenant-directory.ts';

const decide = createDecide(createClassifier(classifierModel));
const caller: Caller = {
  tenant: 'bench',
  key: 'main',
  plan: null,
  scopes: ['inference'],
  suspended: false,
  expiresAtMs: null,
  counted: false,
  caps: { tokens_per_day: null, tokens_per_month: null },
  operatorCaps: { tokens_per_day: null, tokens_per_month: null },
  canary: null,
  policy: STRICTEST,
  version: 'v1',
};
let made = 0;

/** `number` other words make another prompt. */
function prompt(text: string, number: number) {
  return { messages: [{ role: 'user' as const, content: `${number} ${text}` }] };
}
const urlOf = async (name: string) => `https://decisions.plimsoll.invalid/${await sha256Hex(name)}`;

export default {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    const n = Number(searchParams.get('n'));
    const text = await request.text();
    const cache = await caches.open('decisions');
    const write = async (name: string) => {
      const { decision } = await decide(prompt(text, 0), { caller, extension: {} });
      const headers = { 'cache-control': 'max-age=60' };
      await cache.put(await urlOf(name), new Response(JSON.stringify(decision), { headers }));
    };
    if (pathname === '/match') await write('there');
    for (let i = 0; i < n; i++) {
      if (pathname === '/make') await decide(prompt(text, ++made), { caller, extension: {} });
      else if (pathname === '/isolate') await decide(prompt(text, 0), { caller, extension: {} });
      else if (pathname === '/match') await (await cache.match(await urlOf('there')))!.json();
      else if (pathname === '/absent') await cache.match(await urlOf(`absent ${i}`));
      else await write(`new ${++made}`);
    }
    return new Response(`${n}`);
  },
} satisfies ExportedHandler;
