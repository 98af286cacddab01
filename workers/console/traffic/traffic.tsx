/** What the edge is asked just now, without a word of it, and the prompts that a policy keeps. */
import { useState } from 'preact/hooks';
import { addressOf, follow } from '../net/router.ts';
import { useSession } from '../net/session.tsx';
import { inPercent, inSeconds, inShort, inTime, inWhole, nats } from '../net/words.ts';
import { Empty, ErrorNotice, Waiting } from '../parts/notice.tsx';
import { Scroll } from '../parts/scroll.tsx';
import { useTenant } from '../parts/tenant-choice.tsx';
import { KeptPrompts } from './kept-prompts.tsx';
import { type Feed, type LiveRequest, useFeed } from './use-feed.ts';
import { WeightBars } from './weight-bars.tsx';

export function TrafficPage({ path: [named] }: { path: string[] }) {
  const session = useSession();
  const { id: tenant, choice } = useTenant('traffic', named, { all: 'all of them' });
  const [follows, setFollows] = useState(true);
  const at = tenant === null ? '/admin/v1/traffic' : `/admin/v1/tenants/${tenant}/traffic`;
  const feed = useFeed(at, { follows });
  return (
    <div class="page wide">
      <header class="page-head">
        <h1>
          Traffic
          {tenant !== null && (
            <>
              {' of '}
              <bdi>{tenant}</bdi>
            </>
          )}
        </h1>
        {choice}
        <span class={`state ${follows && feed.error === null ? 'good' : 'warn'}`} role="status">
          {follows ? (feed.error === null ? 'following' : 'cannot follow') : 'paused'}
        </span>
        <button type="button" aria-pressed={!follows} onClick={() => setFollows((last) => !last)}>
          {follows ? 'Pause' : 'Follow'}
        </button>
      </header>
      {feed.error !== null && <ErrorNotice error={feed.error} />}
      {feed.requests === null && feed.error === null && <Waiting what="Looking …" />}
      {feed.requests?.length === 0 && <NothingYet feed={feed} isOne={tenant !== null} />}
      {feed.requests !== null && feed.requests.length > 0 && (
        <Requests requests={feed.requests} withTenant={tenant === null} />
      )}
      {feed.requests !== null && feed.requests.length > 0 && (
        <p class="small">
          {feed.since !== null && `Remembered since ${inTime(feed.since)}, for an hour at most, in memory alone. `}
          {feed.lost > 0 && `${inWhole(feed.lost)} more came too fast to be kept. `}
          Nobody can read here what was said.
        </p>
      )}
      {tenant !== null && <KeptPrompts key={`${tenant} ${session.key}`} tenant={tenant} />}
    </div>
  );
}

/** Why there is nothing to see. */
function NothingYet({ feed: { since }, isOne }: { feed: Feed; isOne: boolean }) {
  return (
    <Empty title="No request yet">
      <p>
        {since !== null && `The edge remembers requests since ${inTime(since)}, and none was over since then`}
        {isOne ? ' for this tenant. ' : '. '}
        One shows here when its answer is over: within five seconds the first time, within two while you watch.
      </p>
      <p>Requests without a good key are not shown: nobody knows whose they are.</p>
    </Empty>
  );
}

function Requests({ requests, withTenant }: { requests: readonly LiveRequest[]; withTenant: boolean }) {
  return (
    <Scroll label="Requests, newest first">
      <table class="table traffic">
        <thead>
          <tr>
            <th>when</th>
            {withTenant && <th>tenant</th>}
            <th>outcome</th>
            <th>line</th>
            <th>safety weight</th>
            <th>what the edge found</th>
            <th class="end">tokens</th>
            <th class="end">ms</th>
            <th>cache</th>
            <th>backend</th>
          </tr>
        </thead>
        <tbody>
          {requests.map((request) => (
            <Row key={`${request.request} ${request.seq}`} of={request} withTenant={withTenant} />
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

const LOOKS: Record<LiveRequest['outcome'], string> = {
  answered: 'good',
  refused: 'warn',
  failed: 'bad',
  left: 'warn',
};

function Row({ of, withTenant }: { of: LiveRequest; withTenant: boolean }) {
  const { at, tenant, key, route, model, outcome, status, code, finish_reason, categories, because } = of;
  const { floor, budget, spent, weights, prompt_tokens, completion_tokens, ms, cache, backend } = of;
  return (
    <tr>
      <th scope="row">
        <time dateTime={at} title={inTime(at)}>
          {inSeconds(at)}
        </time>
        <span class="small block">{route.replace(/^\w+ \/v1\//, '')}</span>
      </th>
      {withTenant && (
        <td>
          <a href={addressOf('traffic', tenant)} onClick={(event) => follow(event, 'traffic', tenant)}>
            <bdi>{tenant}</bdi>
          </a>
          <span class="small block">{key}</span>
        </td>
      )}
      <td>
        <span class={`state ${LOOKS[outcome]}`}>{outcome}</span>
        <span class="small block">
          {status}
          {code !== null && ` ${code}`}
          {code === null && finish_reason !== null && ` ${finish_reason}`}
        </span>
        {!withTenant && <span class="small block">{key}</span>}
      </td>
      <td>
        {floor === null ? (
          <span class="small">none was held</span>
        ) : (
          <>
            floor {inShort(floor)}
            <span class="small block">
              {spent === null ? '' : `${nats(spent)} of `}
              {nats(budget)} nats
            </span>
          </>
        )}
      </td>
      <td>{weights === null ? <span class="small">no token</span> : <WeightBars of={weights} />}</td>
      <td>
        {categories.length === 0 && <span class="small">nothing</span>}
        {categories.map(({ name, probability }) => (
          <span key={name} class="block">
            {name.replaceAll('_', ' ')} <span class="small number">{inPercent(probability)}</span>
          </span>
        ))}
        {because !== null && <span class="small block">decided by {because.replaceAll('_', ' ')}</span>}
      </td>
      <td class="end number">
        {prompt_tokens === null || completion_tokens === null
          ? '–'
          : `${inWhole(prompt_tokens)} + ${inWhole(completion_tokens)}`}
        {model !== null && <span class="small block">{model}</span>}
      </td>
      <td class="end number">{inWhole(ms)}</td>
      <td>{cache ?? '–'}</td>
      <td>{backend ?? '–'}</td>
    </tr>
  );
}
