/**
 * `GET /`: a person with a browser is led to the console or, where there is none, gets a page that
 * says what this is and what to type next. Any other client gets the same content as JSON. The page
 * shows the demo keys only if the setting
 * DEMO_KEYS names them, and only a local stack does that.
 */

import type { Model } from '#shared/api/models.ts';
import type { AppContext } from '../request/context.ts';
import type { BackendPool } from './backend-pool.ts';
import { poolMembers } from './pool-members.ts';
import { defaultModel, servedModels } from './served-models.ts';

const ROUTES = {
  chat: '/v1/chat/completions',
  completions: '/v1/completions',
  responses: '/v1/responses',
  models: '/v1/models',
  moderations: '/v1/moderations',
  health: '/healthz',
  receipt_keys: '/.well-known/jwks.json',
  openapi: '/openapi.json',
};
const CONSOLE = '/console';
const ABOUT =
  'An OpenAI-compatible API in which every tenant has a line that the decoding of the model may not cross: a bound on every token it draws.';

export function frontPage(pool: BackendPool) {
  return async (c: AppContext): Promise<Response> => {
    const keys = (c.env.DEMO_KEYS ?? '').split(',').filter((key) => key !== '');
    const wantsPage = (c.req.header('accept') ?? '').includes('text/html');
    const vary = { vary: 'accept' };
    if (wantsPage && c.env.ASSETS !== undefined) {
      return new Response(null, { status: 302, headers: { location: CONSOLE, ...vary } });
    }
    const members = await poolMembers(pool, c);
    const models = servedModels(members);
    if (!wantsPage) {
      const ids = models.map(({ id }) => id);
      const routes = { ...ROUTES, ...(c.env.ASSETS !== undefined && { console: CONSOLE }) };
      return c.json({ name: 'plimsoll', about: ABOUT, routes, models: ids, demo_keys: keys }, 200, vary);
    }
    const model = defaultModel(members) ?? 'MODEL';
    // We take the host from the header if we can, because a proxy in front may have changed the
    // URL.
    const { protocol, host } = new URL(c.req.url);
    const page = render({ origin: `${protocol}//${c.req.header('host') ?? host}`, model, models, keys });
    return new Response(page, { headers: { 'content-type': 'text/html; charset=utf-8', ...POLICY, ...vary } });
  };
}

/** The page loads nothing and runs nothing. */
const POLICY = {
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
  'x-content-type-options': 'nosniff',
};

function render({
  origin,
  model,
  models,
  keys,
}: {
  origin: string;
  model: string;
  models: readonly Model[];
  keys: readonly string[];
}): string {
  const curl = [
    `curl ${origin}${ROUTES.chat} \\`,
    `  -H 'authorization: Bearer ${keys[0] ?? 'YOUR_KEY'}' -H 'content-type: application/json' \\`,
    `  -d '{"model":"${model}","messages":[{"role":"user","content":"How do I get rid of mould on a wall?"}]}'`,
  ].join('\n');
  const served = models
    .map(({ id, plimsoll: { context_length, available } }) => {
      // Which modes there are depends on the tenant. `GET /v1/models` says it.
      const notes = [`${context_length} tokens`, ...(available ? [] : ['not available now'])];
      return `<li><code>${escaped(id)}</code>: ${escaped(notes.join(', '))}</li>`;
    })
    .join('');
  const list = keys.map((key) => `<li><code>${escaped(key)}</code></li>`).join('');
  const demo = keys.length === 0 ? '' : `<h2>Demo keys</h2><p>Public, for this machine only.</p><ul>${list}</ul>`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Plimsoll</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 46em; margin: 3em auto; padding: 0 1em; color-scheme: light dark }
  pre { overflow-x: auto; padding: 1em; border: 1px solid }
</style>
<h1>Plimsoll</h1>
<p>${ABOUT}</p>
<h2>Ask it something</h2>
<pre>${escaped(curl)}</pre>
<p>Or point any OpenAI client at <code>${escaped(origin)}/v1</code>.</p>
${served === '' ? '' : `<h2>Models</h2><ul>${served}</ul>`}
${demo}
<h2>More</h2>
<ul>
  <li><a href="${ROUTES.health}">${ROUTES.health}</a>: whether a request would find a backend</li>
  <li><a href="${ROUTES.receipt_keys}">${ROUTES.receipt_keys}</a>: the keys that receipts are checked with</li>
  <li><a href="${ROUTES.openapi}">${ROUTES.openapi}</a>: all routes and their schemas, for tools</li>
  <li><code>${ROUTES.models}</code>, <code>${ROUTES.moderations}</code>: as in OpenAI's API; both need a key</li>
  <li><code>README.md</code> and <code>docs/</code> in the repository: policies, operations, the admin API</li>
</ul>
</html>
`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
