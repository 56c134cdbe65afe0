// The page's words in English and Chinese. {name} is filled in; "one|many" is chosen by {n}.

const LANGUAGE = "attune.language";

const STRINGS = {
  en: {
    title: "search preview", skip: "To the results", query: "Search", query_placeholder: "Search the shop",
    go: "Search", other_language: "中文", switch_language: "切换为中文", options: "Options", help: "Help",
    view: "Ranking shown", facets: "Filters", close: "Close", continue: "Continue", cancel: "Cancel",
    start: "Type what a shopper would. Left is the order of your own keyword search, right Attune's, with what moved and why.",
    start_keys: "Press / to search from anywhere, ? for all keys.",
    keyword_column: "Keyword search", attune_column: "Attune", hits: "{n} hit|{n} hits", hits_more: "over {n} hits",
    searching: "Searching …", nothing: "Nothing found.",
    nothing_filtered: "Nothing found with these filters.",
    status_reranked: "Reranked", status_skipped: "Not reranked", status_timeout: "Too late: first-stage order",
    status_failed: "Failed: first-stage order", status_model_mismatch: "Other model: first-stage order",
    status_shed: "Busy: first-stage order", status_none: "Answered by OpenSearch alone",
    reason_unknown: "The model doesn't know {share} of the query: `attune train --query-encoder` makes one for its language.",
    reason_other_model: "Index {index} was made with model {made}, not {version}: index the catalogue again, or choose that model.",
    reason_late: "It took longer than {ms} ms (sidecar.deadline_ms).",
    best: "best {n}", kept: "ranked by an earlier search", model: "model {version}", milliseconds: "{ms} ms", total_ms: "{ms} ms in all", keyword_ms: "keyword search {ms} ms",
    stage_encode: "encode", stage_search: "candidates", stage_score: "score", stage_fetch: "page", stage_rest: "the rest",
    stage_encode_long: "BERT encodes the query", stage_search_long: "OpenSearch gathers candidates by keyword and vector",
    stage_score_long: "attention and MLP score the window", stage_fetch_long: "OpenSearch fetches the page's hits",
    stage_rest_long: "reading the request, writing the answer, the way here",
    changed: "{moved} of the top {n} moved, {vectors} found by vectors",
    same: "The top {n} are the same in both.",
    up: "Up {n} from {from}", down: "Down {n} from {from}", stays: "Same place",
    by_vectors: "by vectors", by_vectors_long: "The keyword search does not find it: it is among the nearest product vectors",
    from_below: "from below {n}", from_below_long: "The keyword search has it below its best {n}",
    to_rank: "Attune: {n}", to_rank_long: "Attune has it at {n}", to_below: "Attune: below {n}", to_below_long: "Attune has it below the {n} shown",
    probability: "Probability that it answers the query: {p}", unavailable: "not available",
    why: "Why?", why_long: "Explain why {title} is where it is", grade_of: "Judge: how well does it answer?",
    grade_0: "irrelevant", grade_1: "poor", grade_2: "good", grade_3: "perfect",
    graded: "Judged {n}, {name}", ungraded: "Judgement taken back", grade_failed: "The judgement was not saved: {reason}",
    judged: "{n} product of this query is judged|{n} products of this query are judged",
    judged_file: "saved by the sidecar (preview.judgements)", judged_browser: "kept in this browser",
    download: "Download all {n} as CSV", download_hint: "for attune evaluate --judgements",
    forget: "Forget them", forget_sure: "Forget all {n} judgements kept in this browser?",
    facet_brand: "Brand", facet_category: "Category", facet_price: "Price", facet_available: "Available", facet_no: "not available",
    facet_yes: "available", more: "{n} more", fewer: "Fewer", clear: "Clear filters ({n})",
    price_from: "Price from", price_to: "Price to",
    option_index: "Index or alias", option_size: "Hits shown", option_window: "Window", option_model: "Model",
    option_keyword_weight: "Keyword evidence", option_vector_weight: "Vectors in the first stage",
    option_relevance_weight: "Relevance head", option_click_weight: "Click head", option_purchase_weight: "Purchase head",
    option_template: "Query of your shop (JSON)", option_reset: "Back to the settings",
    hint_window: "candidates that are scored", hint_keyword_weight: "how much nearness to the best keyword hit counts",
    hint_vector_weight: "their share in choosing the window", hint_model: "the index must be made with it",
    hint_template: "Empty: Attune's own keyword query. %SearchText% stands for the words.", by_query: "by query",
    template_wrong: "The query of your shop is no JSON: {reason}", template_object: "it must be an object",
    weights_wrong: "One of the three heads must count for something.",
    error_no_answer: "The sidecar does not answer. Is it running?",
    error_down: "OpenSearch does not answer. {reason}", error_index: "There is no index or alias {index}.",
    error_denied: "You may not do this: {reason}", error_signed_out: "Nobody is signed in: {reason}",
    error_query: "OpenSearch can't run this query: {reason}", error_busy: "Too busy just now. Try again.", error_other: "It failed ({status}): {reason}",
    facets_failed: "No filters: {reason}",
    key_title: "API key", key_text: "The sidecar asks for an API key for its own pages. It is kept until this tab is closed.",
    key_wrong: "That key was not taken. Try again.", password_title: "Sign in to OpenSearch",
    password_text: "Searches run as you. Name and password are kept in memory, until the page is loaded again.",
    password_wrong: "That was not taken. Try again.", field_key: "Key", field_user: "Name", field_password: "Password",
    explaining: "Asking the model …",
    says_moved_up: "Up: the keyword search has it at number {from}, Attune at {to}.", says_moved_down: "Down: the keyword search has it at number {from}, Attune at {to}.",
    says_stays: "Both have it at number {to}.", says_below: "Attune has it at number {to}; the keyword search has it below its best {n} or not at all.", says_by_vectors: "Attune has it at number {to}; the keyword search does not find it.",
    says_only_below: "It is not among the {n} shown by Attune.",
    says_vector: "It is number {n} of the nearest product vectors.", says_no_vector: "Its vector is not among the {n} nearest.",
    says_keyword: "Its keyword score is {share} of the best one, which moves it {way}.", says_no_keyword: "It is not among the {n} best by keyword, which moves it {way}.",
    says_no_score: "It has no keyword score, which moves it {way}.",
    way_up: "up", way_down: "down", way_not: "neither way",
    says_words_all: "It has every word of the query.", says_words_some: "It has {found}, not {missing}.", says_words_none: "It has none of the query's words; what it means decides.",
    says_attends: "“{query}” attends most to “{product}” in the {field} ({weight}).",
    says_for: "What speaks for it most: {list}.", says_against: "What speaks against it most: {list}.",
    not_no_vectors: "The index has no vectors of this product, so it can't be ranked; this is what the model makes of its text.",
    not_other_model: "The index was made with another model; this is what {version} makes of its text.",
    not_other_text: "The ranking reads text of this product that is not shown to you, or that was not indexed yet; this explains what you see, so its score differs.",
    not_reranked: "This search was not reranked: this is what the model makes of the product.",
    not_same: "The list has {listed}: the ranking differs a little from what is explained here.",
    score_how: "model {model}, keyword evidence {keyword}: log-odds {whole}",
    contributions: "What counts, and how much",
    contributions_text: "A bar is what the log-odds would lose with this one at its usual value. Bars overlap, so they don't add up.",
    column_cause: "What", column_value: "Here", column_typical: "Usual", column_effect: "Log-odds",
    words: "The query's words", words_text: "What the log-odds would lose without the word.", word_found: "found in {fields}", word_missing: "not found as a word", word_only: "the only word",
    attention: "Who attends to whom", attention_text: "Rows are the query's words, columns the product's as they are stored. A row's weights add up to 100 %. The last row: what the log-odds would lose if nothing could attend to this word.",
    show_weights: "Attention", show_cosines: "Cosine", without: "without it",
    feature_cosine: "Meaning: query to product", feature_token_match: "Each word's best match", feature_token_attended: "What the words attend to",
    feature_token_worst: "Worst-matched word", feature_title: "Words in the title", feature_brand: "Words in the brand", feature_category: "Words in the category",
    feature_other: "Words elsewhere", feature_all_words: "Share of words found", feature_model_exact: "Model number, whole", feature_model_partial: "Numbers found",
    feature_units: "Numbers with units found", feature_brand_is_query: "Brand is asked for", feature_title_focus: "Title's share asked for",
    feature_interaction: "Pattern of the match", feature_keyword: "Keyword score to the best",
    field_title: "title", field_brand: "brand", field_category: "category", field_description: "description", field_attributes: "attributes", field_other: "other fields",
    heads: "Heads", head_relevance: "relevance", head_click: "click", head_purchase: "purchase",
    keys_title: "Keys", key_slash: "to the search box", key_move: "next, previous hit", key_column: "other column", key_judge: "judge: irrelevant to perfect; again to take it back",
    key_explain: "explain the hit", key_help: "these keys", key_escape: "close, or leave the search box", keys_on: "Single keys work",
    about_title: "What is compared", about: "Left is the query as OpenSearch ranks it, right the same query through Attune, with the filters and options above. Both run with your own rights.",
    images_off: "Images are loaded only from the hosts that the setting preview.image_hosts names.",
  },
  zh: {
    title: "搜索预览", skip: "跳到结果", query: "搜索", query_placeholder: "搜索商品",
    go: "搜索", other_language: "English", switch_language: "Switch to English", options: "选项", help: "帮助",
    view: "显示的排序", facets: "筛选", close: "关闭", continue: "继续", cancel: "取消",
    start: "输入顾客会搜的词。左边是您自己的关键词搜索的排序，右边是 Attune 的排序，并说明哪些商品移动了、为什么。",
    start_keys: "随时按 / 搜索，按 ? 查看所有按键。",
    keyword_column: "关键词搜索", attune_column: "Attune", hits: "{n} 个结果", hits_more: "超过 {n} 个结果",
    searching: "正在搜索……", nothing: "没有找到商品。",
    nothing_filtered: "在这些筛选条件下没有找到商品。",
    status_reranked: "已重排", status_skipped: "未重排", status_timeout: "超时：保持初始排序",
    status_failed: "失败：保持初始排序", status_model_mismatch: "模型不同：保持初始排序",
    status_shed: "繁忙：保持初始排序", status_none: "仅由 OpenSearch 回答",
    reason_unknown: "模型不认识此查询的 {share}：用 attune train --query-encoder 可以训练适合其语言的模型。",
    reason_other_model: "索引 {index} 由模型 {made} 生成，不是 {version}：请重新编入商品目录，或选择那个模型。",
    reason_late: "用时超过 {ms} 毫秒（sidecar.deadline_ms）。",
    best: "前 {n} 个", kept: "沿用先前的排序", model: "模型 {version}", milliseconds: "{ms} 毫秒", total_ms: "共 {ms} 毫秒", keyword_ms: "关键词搜索 {ms} 毫秒",
    stage_encode: "编码", stage_search: "候选", stage_score: "打分", stage_fetch: "取页", stage_rest: "其余",
    stage_encode_long: "BERT 编码查询", stage_search_long: "OpenSearch 按关键词和向量收集候选商品",
    stage_score_long: "注意力与 MLP 为窗口打分", stage_fetch_long: "OpenSearch 取回本页商品",
    stage_rest_long: "读取请求、写出答复、网络传输",
    changed: "前 {n} 个中有 {moved} 个移动了位置，{vectors} 个由向量找到",
    same: "两边的前 {n} 个相同。",
    up: "从第 {from} 位上升 {n} 位", down: "从第 {from} 位下降 {n} 位", stays: "位置不变",
    by_vectors: "由向量找到", by_vectors_long: "关键词搜索找不到它：它是最接近的商品向量之一",
    from_below: "原在 {n} 名之后", from_below_long: "关键词搜索把它排在前 {n} 名之后",
    to_rank: "Attune：第 {n} 位", to_rank_long: "Attune 把它排在第 {n} 位", to_below: "Attune：{n} 名之后", to_below_long: "Attune 把它排在所示的 {n} 个之后",
    probability: "符合查询的概率：{p}", unavailable: "无货",
    why: "为什么？", why_long: "说明 {title} 为什么排在这里", grade_of: "评判：它符合查询的程度",
    grade_0: "无关", grade_1: "较差", grade_2: "良好", grade_3: "完美",
    graded: "已评为 {n}：{name}", ungraded: "已撤回评判", grade_failed: "评判没有保存：{reason}",
    judged: "此查询已评判 {n} 个商品",
    judged_file: "由服务保存（preview.judgements）", judged_browser: "保存在此浏览器中",
    download: "下载全部 {n} 条（CSV）", download_hint: "供 attune evaluate --judgements 使用",
    forget: "清除", forget_sure: "清除保存在此浏览器中的全部 {n} 条评判？",
    facet_brand: "品牌", facet_category: "类别", facet_price: "价格", facet_available: "库存", facet_no: "无货",
    facet_yes: "有货", more: "还有 {n} 个", fewer: "收起", clear: "清除筛选（{n}）",
    price_from: "最低价格", price_to: "最高价格",
    option_index: "索引或别名", option_size: "显示数量", option_window: "窗口", option_model: "模型",
    option_keyword_weight: "关键词证据", option_vector_weight: "第一阶段的向量",
    option_relevance_weight: "相关性头", option_click_weight: "点击头", option_purchase_weight: "购买头",
    option_template: "您商店的查询（JSON）", option_reset: "恢复设置",
    hint_window: "参与打分的候选数", hint_keyword_weight: "接近最佳关键词得分的影响大小",
    hint_vector_weight: "向量在选择窗口时的份额", hint_model: "索引必须由该模型生成",
    hint_template: "留空：使用 Attune 自己的关键词查询。%SearchText% 代表搜索词。", by_query: "按查询",
    template_wrong: "您商店的查询不是 JSON：{reason}", template_object: "它必须是一个对象",
    weights_wrong: "三个头中至少要有一个大于 0。",
    error_no_answer: "服务没有响应。它在运行吗？",
    error_down: "OpenSearch 没有响应。{reason}", error_index: "没有名为 {index} 的索引或别名。",
    error_denied: "您没有权限：{reason}", error_signed_out: "没有登录：{reason}",
    error_query: "OpenSearch 无法执行这个查询：{reason}", error_busy: "现在太忙，请再试一次。", error_other: "失败（{status}）：{reason}",
    facets_failed: "没有筛选：{reason}",
    key_title: "API 密钥", key_text: "此服务的页面需要 API 密钥。它会保存到此标签页关闭为止。",
    key_wrong: "密钥不对，请再试一次。", password_title: "登录 OpenSearch",
    password_text: "搜索以您的身份进行。用户名和密码只保存在内存中，重新加载页面后即清除。",
    password_wrong: "没有通过，请再试一次。", field_key: "密钥", field_user: "用户名", field_password: "密码",
    explaining: "正在询问模型……",
    says_moved_up: "关键词搜索把它排在第 {from} 位，Attune 排在第 {to} 位。", says_moved_down: "关键词搜索把它排在第 {from} 位，Attune 排在第 {to} 位。",
    says_stays: "两边都把它排在第 {to} 位。", says_below: "Attune 把它排在第 {to} 位；关键词搜索把它排在前 {n} 名之后，或者没有找到它。", says_by_vectors: "Attune 把它排在第 {to} 位；关键词搜索没有找到它。",
    says_only_below: "它不在 Attune 所示的前 {n} 个之中。",
    says_vector: "它是第 {n} 近的商品向量。", says_no_vector: "它的向量不在最近的 {n} 个之中。",
    says_keyword: "它的关键词得分是最高分的 {share}，使它{way}。", says_no_keyword: "它不在关键词搜索的前 {n} 名之中，这使它{way}。",
    says_no_score: "它没有关键词得分，这使它{way}。",
    way_up: "上升", way_down: "下降", way_not: "不升不降",
    says_words_all: "它含有查询的每个词。", says_words_some: "它含有 {found}，不含 {missing}。", says_words_none: "它不含查询的任何词，由含义决定。",
    says_attends: "“{query}”最关注{field}中的“{product}”（{weight}）。",
    says_for: "最有利的因素：{list}。", says_against: "最不利的因素：{list}。",
    not_no_vectors: "索引中没有此商品的向量，因此无法重排；这里是模型对其文字的判断。",
    not_other_model: "索引由另一个模型生成；这里是 {version} 对其文字的判断。",
    not_other_text: "排序读取了未向您显示或尚未编入索引的文字；这里只解释您看到的内容，因此得分不同。",
    not_reranked: "此次搜索没有重排；这里是模型对该商品的判断。",
    not_same: "列表中的得分是 {listed}：排序与此处的说明略有不同。",
    score_how: "模型 {model}，关键词证据 {keyword}：对数几率 {whole}",
    contributions: "哪些因素起作用，作用多大",
    contributions_text: "横条表示：若该因素取通常值，对数几率会减少多少。各因素相互重叠，所以不能相加。",
    column_cause: "因素", column_value: "此处", column_typical: "通常", column_effect: "对数几率",
    words: "查询的词", words_text: "去掉该词后，对数几率会减少多少。", word_found: "见于{fields}", word_missing: "没有这个词", word_only: "唯一的词",
    attention: "谁关注谁", attention_text: "行是查询的词，列是所存储的商品的词。每行的权重之和为 100 %。最后一行：若该词不能被关注，对数几率会减少多少。",
    show_weights: "注意力", show_cosines: "余弦", without: "没有它",
    feature_cosine: "含义：查询与商品", feature_token_match: "每个词的最佳匹配", feature_token_attended: "各词所关注的内容",
    feature_token_worst: "匹配最差的词", feature_title: "标题中的词", feature_brand: "品牌中的词", feature_category: "类别中的词",
    feature_other: "其他字段中的词", feature_all_words: "找到的词的比例", feature_model_exact: "完整型号", feature_model_partial: "找到的数字",
    feature_units: "找到的带单位数字", feature_brand_is_query: "指定了品牌", feature_title_focus: "标题被问及的比例",
    feature_interaction: "匹配的模式", feature_keyword: "关键词得分与最高分之比",
    field_title: "标题", field_brand: "品牌", field_category: "类别", field_description: "描述", field_attributes: "属性", field_other: "其他字段",
    heads: "各头", head_relevance: "相关性", head_click: "点击", head_purchase: "购买",
    keys_title: "按键", key_slash: "到搜索框", key_move: "下一个、上一个商品", key_column: "另一列", key_judge: "评判：无关到完美；再按一次撤回",
    key_explain: "说明此商品", key_help: "这些按键", key_escape: "关闭，或离开搜索框", keys_on: "启用单键操作",
    about_title: "比较的内容", about: "左边是 OpenSearch 对查询的排序，右边是同一查询经过 Attune 的排序，使用上面的筛选和选项。两者都以您自己的权限运行。",
    images_off: "只从设置 preview.image_hosts 列出的主机加载图片。",
  },
};

let language = chosen();

function chosen() {
  const kept = localStorage.getItem(LANGUAGE);
  if (kept in STRINGS) return kept;
  return (navigator.languages ?? [navigator.language]).map((of) => of.slice(0, 2)).find((of) => of in STRINGS) ?? "en";
}

export const currentLanguage = () => language;

export function switchLanguage() {
  language = language === "en" ? "zh" : "en";
  localStorage.setItem(LANGUAGE, language);
}

/** The words for `key`, with `values` filled in. */
export function t(key, values = {}) {
  const text = STRINGS[language][key];
  const forms = text.split("|");
  const form = forms.length > 1 && values.n !== 1 ? forms[1] : forms[0];
  return form.replace(/\{(\w+)\}/g, (_, name) => typeof values[name] === "number" ? number(values[name]) : values[name]);
}

export const number = (value, options = {}) => new Intl.NumberFormat(language, options).format(value);
export const percent = (value) => number(value, { style: "percent", maximumFractionDigits: value > 0.99 || value < 0.01 ? 1 : 0 });
export const decimal = (value, digits = 2) => number(value, { minimumFractionDigits: digits, maximumFractionDigits: digits });
export const signed = (value, digits = 2) =>
  number(value, { minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay: "exceptZero" }).replace("-", "−");

/** Fills in all words that stand in the page's own HTML. */
export function translatePage() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.getElementById("language").lang = language === "zh" ? "en" : "zh-CN";
  document.title = `Attune · ${t("title")}`;
  for (const [name, put] of [["t", (at, text) => { at.textContent = text; }],
    ["tLabel", (at, text) => { at.setAttribute("aria-label", text); if (at.matches("button")) at.title = text; }],
    ["tPlaceholder", (at, text) => { at.placeholder = text; }]]) {
    for (const at of document.querySelectorAll(`[data-${name.replace("L", "-l").replace("P", "-p")}]`)) put(at, t(at.dataset[name]));
  }
}
