// Sends events of UBI 1.3: see SHOPPERS.md.
(() => {
const { src, dataset } = document.currentScript;
const url = new URL('events', src);
const makeId = () => crypto.getRandomValues(new Uint32Array(4)).join('-');
let own = {}; // client, off, last search
let queue = [], pending = [], timer; // a search, until the shopper rests
try {
  own = JSON.parse(localStorage.attune);
} catch {}
const save = (value) => {
  own = value;
  try {
    localStorage.attune = JSON.stringify(own);
  } catch {}
};
const optedOut = () => navigator.globalPrivacyControl || navigator.doNotTrack == 1 || own.off;

const send = () => {
  clearTimeout(timer);
  const body = JSON.stringify([...queue, ...pending]);
  queue = [], pending = [];
  if (body != '[]' && !navigator.sendBeacon?.(url, body))
    fetch(url, { method: 'POST', body, keepalive: true }).catch(() => {});
};
const describe = (more) => {
  if (!own.client) save({ ...own, client: makeId() });
  clearTimeout(timer);
  timer = setTimeout(send, 1e3);
  return [{ application: dataset.application, client_id: own.client, user_id: attune.user, timestamp: new Date(), ...more }];
};

const attune = (window.attune = {
  user: dataset.user,
  get client() { return own.client; },
  get headers() { return optedOut() ? { 'X-Attune-Personal': 'off' } : {}; },
  optOut(off = true) {
    queue = [], pending = [];
    save({ off });
  },
  query(text, ids, { queryId, from = 0 } = {}) {
    const key = [text, queryId, ...ids].join();
    if (!optedOut() && key != own.key) {
      save({ ...own, key, id: queryId ?? makeId(), ids: ids.map(String), from });
      pending = describe({ user_query: text, query_id: own.id, query_response_hit_ids: own.ids });
    }
    return own.id;
  },
  event(action_name, ids, order_id, description) {
    if (optedOut()) return;
    queue.push(...pending);
    pending = [];
    for (const object_id of [ids].flat().map(String)) {
      const event_attributes = { object: { object_id, description }, order_id };
      const place = own.ids?.indexOf(object_id) + 1;
      if (place) event_attributes.position = { ordinal: own.from + place };
      queue.push(...describe({ action_name, query_id: place ? own.id : undefined, event_attributes }));
    }
  },
  instantsearch({ instantSearchInstance: page }) {
    const read = () => {
      const now = page.mainIndex.getResults();
      const ids = now?.hits.map((hit) => hit.objectID);
      if (now?.query) attune.query(now.query, ids, { queryId: now.queryID, from: now.page * now.hitsPerPage });
    };
    return { subscribe: () => page.on('render', read), unsubscribe() {}, onStateChange() {} };
  },
});

addEventListener('click', ({ target }) => {
  const { attuneId, attuneTitle } = target.closest('[data-attune-id]')?.dataset ?? {};
  if (attuneId) attune.event(target.closest('[data-attune-action]')?.dataset.attuneAction ?? 'click', attuneId, void 0, attuneTitle);
}, true);
document.addEventListener('visibilitychange', () => document.hidden && send());
})();
