/** The routes under `/console`: signing in and out, and the console's own files. */
import { Hono } from 'hono';
import type { AppEnv } from '../request/context.ts';
import { type BodyPatience, readBodyAfter } from '../request/read-body.ts';
import type { TenantDirectory } from '../request/tenant-directory.ts';
import { validJson } from '../request/valid-json.ts';
import { consoleFile } from './console-file.ts';
import { boundOnSessions, clearCookie, fromOwnPage, readSession, renewSession, signIn, signOut } from './session.ts';
import { SignIn } from './session-answer.ts';

export function consoleRoutes({
  directory,
  bodyPatience,
}: {
  directory: TenantDirectory;
  bodyPatience: BodyPatience;
}): Hono<AppEnv> {
  const own = fromOwnPage();
  const calls = boundOnSessions();
  return (
    new Hono<AppEnv>()
      .post('/console/session', readBodyAfter(own, bodyPatience), validJson(SignIn), async (c) =>
        c.json(await signIn(c.req.valid('json'), { c, directory, calls })),
      )
      .get('/console/session', own, async (c) => c.json(await readSession({ c, directory, calls })))
      .put('/console/session', own, async (c) => c.json(await renewSession({ c, directory, calls })))
      .delete('/console/session', own, clearCookie(), async (c) => {
        await signOut({ c, calls });
        return c.json({ object: 'session' as const, deleted: true as const });
      })
      // That is `/console` too.
      .get('/console/*', (c) => consoleFile(c))
  );
}
