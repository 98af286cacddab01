/**
 * What each side of a canary has got: the latest requests since its share was set, as the edge
 * remembers them and as this page has seen them come.
 */
import { addressOf, follow } from '../net/router.ts';
import { inPercent, inSeconds, inShort, inTime, inWhole, nats } from '../net/words.ts';
import { ErrorNotice, Waiting } from '../parts/notice.tsx';
import { Scroll } from '../parts/scroll.tsx';
import { type LiveRequest, useFeed } from '../traffic/use-feed.ts';
import { WeightBars } from '../traffic/weight-bars.tsx';
import type { Place } from './common/place.ts';

const MOST_LISTED = 10;

export function CanaryTraffic({
  place: { id, at },
  share,
  since,
}: {
  place: Pick<Place, 'id' | 'at'>;
  share: number;
  /** When the share was set; null: not known. */
  since: string | null;
}) {
  const { requests, error, lost } = useFeed(`${at}/traffic`, { follows: true });
  const decided = (requests ?? []).filter(
    (request) => request.policy !== null && (since === null || request.at >= since),
  );
  const sides = [
    { name: 'active', requests: decided.filter(({ canary }) => !canary) },
    { name: 'canary', requests: decided.filter(({ canary }) => canary) },
  ] as const;
  return (
    <section class="stack" aria-labelledby="canary-traffic">
      <h2 id="canary-traffic">Who got which</h2>
      {error !== null && <ErrorNotice error={error} />}
      {requests === null && error === null && <Waiting what="Looking …" />}
      {requests !== null && decided.length === 0 && (
        <p class="notice">
          No request since then. One shows here when its answer is over: within five seconds the first time, within two
          while you watch.
        </p>
      )}
      {decided.length > 0 && (
        <>
          <Counts sides={sides} all={decided.length} share={share} />
          <Latest requests={decided.slice(0, MOST_LISTED)} />
          <p class="small">
            The latest requests since then, and of the last hour at most.
            {lost > 0 && ` ${inWhole(lost)} more came too fast to be kept.`} A share is one of prompts: requests that
            repeat a prompt go the same way.{' '}
            <a href={addressOf('traffic', id)} onClick={(event) => follow(event, 'traffic', id)}>
              All of the traffic
            </a>
          </p>
        </>
      )}
    </section>
  );
}

type Side = { name: string; requests: readonly LiveRequest[] };

function Counts({ sides, all, share }: { sides: readonly [Side, Side]; all: number; share: number }) {
  const rows: [name: string, of: (requests: readonly LiveRequest[]) => string][] = [
    ['requests', ({ length }) => `${inWhole(length)} (${inPercent(length / all)})`],
    ['refused', (of) => inWhole(of.filter(({ outcome }) => outcome === 'refused').length)],
    ['failed', (of) => inWhole(of.filter(({ outcome }) => outcome === 'failed').length)],
    ['mean floor', (of) => mean(of.map(({ floor }) => floor))],
    ['spent, mean nats', (of) => mean(of.map(({ spent }) => spent))],
    [
      'tokens an answer',
      (of) => mean(of.filter(({ outcome }) => outcome === 'answered').map(({ completion_tokens: n }) => n)),
    ],
  ];
  return (
    <Scroll label="What each side got">
      <table class="table numbers">
        <thead>
          <tr>
            <th>{inWhole(all)} requests</th>
            <th class="end">active, {inPercent(1 - share)} of the prompts</th>
            <th class="end">canary, {inPercent(share)} of the prompts</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(([name, read]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              {sides.map((side) => (
                <td key={side.name} class="end number">
                  {read(side.requests)}
                </td>
              ))}
            </tr>
          ))}
          <tr>
            <th scope="row">safety weights</th>
            {sides.map((side) => (
              <td key={side.name} class="end">
                <Weights of={side.requests} />
              </td>
            ))}
          </tr>
        </tbody>
      </table>
    </Scroll>
  );
}

function Weights({ of: requests }: { of: readonly LiveRequest[] }) {
  const known = requests.map(({ weights }) => weights).filter((weights) => weights !== null);
  const [first] = known;
  if (first === undefined) return '–';
  return <WeightBars of={first.map((_, bar) => known.reduce((sum, weights) => sum + (weights[bar] ?? 0), 0))} />;
}

function mean(values: readonly (number | null)[]): string {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? '–' : inShort(known.reduce((sum, value) => sum + value, 0) / known.length);
}

function Latest({ requests }: { requests: readonly LiveRequest[] }) {
  return (
    <details>
      <summary>The latest</summary>
      <Scroll label="The latest requests, newest first">
        <table class="table">
          <thead>
            <tr>
              <th>when</th>
              <th>key</th>
              <th>got</th>
              <th>outcome</th>
              <th class="end">floor</th>
              <th class="end">spent</th>
            </tr>
          </thead>
          <tbody>
            {requests.map(({ seq, request, at, key, canary, outcome, floor, spent }) => (
              <tr key={`${request} ${seq}`}>
                <th scope="row">
                  <time dateTime={at} title={inTime(at)}>
                    {inSeconds(at)}
                  </time>
                </th>
                <td>{key}</td>
                <td>
                  <span class={`state ${canary ? 'warn' : 'good'}`}>{canary ? 'canary' : 'active'}</span>
                </td>
                <td>{outcome}</td>
                <td class="end number">{floor === null ? '–' : inShort(floor)}</td>
                <td class="end number">{spent === null ? '–' : nats(spent)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </details>
  );
}
