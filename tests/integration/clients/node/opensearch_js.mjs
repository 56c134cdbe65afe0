// What opensearch-js gets from a base URL, as one JSON object: `same` holds what does not depend on the order of
// hits, `ranked` the order of hits by query.
// Usage: node opensearch_js.mjs BASE_URL QUERY...
import { Client, errors } from '@opensearch-project/opensearch';

const SCRATCH = 'scratch-js';
const [base, ...queries] = process.argv.slice(2);
const client = new Client({ node: base, compression: 'gzip', suggestCompression: true });
const docs = Array.from({ length: 25 }, (_, n) => ({
  id: String(n),
  title: n % 2 ? 'red lamp' : 'blue chair',
  price: n,
}));

const failure = async (call) => {
  try {
    await call();
    return null;
  } catch (error) {
    return {
      isResponseError: error instanceof errors.ResponseError,
      name: error.name,
      status: error.statusCode,
      type: error.body?.error?.type,
    };
  }
};

const collected = async (iterable) => {
  const all = [];
  for await (const item of iterable) all.push(item);
  return all;
};

const byText = (text) => ({
  multi_match: { query: text, fields: ['title^3', 'brand^2', 'description'], type: 'cross_fields' },
});

async function lifecycle() {
  const same = { info: (await client.info()).body.version.number };
  await client.indices.delete({ index: SCRATCH }, { ignore: [404] });
  same.before = (await client.indices.exists({ index: SCRATCH })).body;
  same.created = (
    await client.indices.create({
      index: SCRATCH,
      body: {
        settings: { number_of_replicas: 0 },
        mappings: { properties: { title: { type: 'text', fields: { keyword: { type: 'keyword' } } } } },
      },
    })
  ).body.acknowledged;
  same.between = (await client.indices.exists({ index: SCRATCH })).statusCode;
  const { total, failed, successful } = await client.helpers.bulk({
    datasource: docs,
    refreshOnCompletion: true,
    onDocument: (doc) => ({ index: { _index: SCRATCH, _id: doc.id } }),
  });
  same.bulk = { total, failed, successful };
  same.got = (await client.get({ index: SCRATCH, id: '3' })).body._source;
  same.updated = (
    await client.update({ index: SCRATCH, id: '3', refresh: true, body: { doc: { price: 99 } } })
  ).body.result;
  same.count = (await client.count({ index: SCRATCH, body: { query: { match: { title: 'red' } } } })).body.count;
  same.helperSearch = (
    await client.helpers.search({ index: SCRATCH, body: { query: { match: { title: 'red' } }, size: 20 } })
  ).map((doc) => doc.id);
  same.scrolled = (
    await collected(
      client.helpers.scrollDocuments({ index: SCRATCH, body: { size: 4, query: { match: { title: 'lamp' } } } }),
    )
  ).map((doc) => doc.id);
  same.sorted = (
    await client.search({ index: SCRATCH, body: { query: { match: { title: 'red' } }, sort: [{ price: 'desc' }] } })
  ).body.hits.hits.map((hit) => [hit._id, hit.sort]);
  const pit = (await client.createPit({ index: SCRATCH, keep_alive: '1m' })).body.pit_id;
  const inPit = await client.search({
    body: { query: { match: { title: 'red' } }, pit: { id: pit, keep_alive: '1m' }, sort: [{ price: 'asc' }] },
  });
  same.inPit = inPit.body.hits.hits.map((hit) => hit._id);
  same.pitDeleted = (await client.deletePit({ body: { pit_id: [pit] } })).body.pits.length;
  const list = client.helpers.msearch({ operations: 2 });
  const { body } = await list.search({ index: SCRATCH }, { query: { match: { title: 'chair' } }, size: 3 });
  same.helperMsearch = body.hits.hits.map((hit) => hit._id);
  same.badInList = await failure(() => list.search({ index: SCRATCH }, { query: { nonsense: {} } }));
  list.stop();
  same.deletedByQuery = (
    await client.deleteByQuery({ index: SCRATCH, refresh: true, body: { query: { match: { title: 'lamp' } } } })
  ).body.deleted;
  same.notFound = await failure(() => client.get({ index: SCRATCH, id: 'none' }));
  same.noIndex = await failure(() => client.search({ index: 'nowhere', body: { query: byText('tv') } }));
  same.badQuery = await failure(() => client.search({ index: 'products', body: { query: { nonsense: {} } } }));
  same.deleted = (await client.indices.delete({ index: SCRATCH })).body.acknowledged;
  return same;
}

async function shop() {
  const ranked = {};
  const statuses = [];
  const bodies = queries.map((query) => ({ query: byText(query), size: 10, _source: ['title'] }));
  for (const [n, query] of queries.entries()) {
    const { body } = await client.search({ index: 'products', body: bodies[n] });
    ranked[query] = body.hits.hits.map((hit) => hit._id);
    statuses.push(body.ext?.attune.rerank_status ?? null);
  }
  const list = await client.msearch({ body: bodies.flatMap((body) => [{ index: 'products' }, body]) });
  const inList = Object.fromEntries(
    queries.map((query, n) => [query, list.body.responses[n].hits.hits.map((hit) => hit._id)]),
  );
  const { body } = await client.search({
    index: 'products',
    body: {
      query: byText('laptop'),
      size: 5,
      aggs: { brands: { terms: { field: 'brand.keyword' } }, price: { stats: { field: 'price' } } },
      highlight: { fields: { title: {} } },
    },
  });
  return { ranked, inList, statuses, facets: body.aggregations, highlighted: body.hits.hits.every((hit) => hit._source) };
}

process.stdout.write(JSON.stringify({ same: await lifecycle(), ...(await shop()) }));
await client.close();
