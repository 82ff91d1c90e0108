"""The exercises: unsolved ones say so, the answers pass, the usual mistakes are named"""

import ast
import re
import shutil

import pytest
import torch
from conftest import run_script
from shown import assert_shown
from torch import nn

from course.errors import CourseError
from course.paths import ROOT

EXERCISES = ROOT / "exercises"
FILES = sorted(
    path.relative_to(EXERCISES / "answers").as_posix()
    for path in (EXERCISES / "answers").rglob("ex_*.py")
)
BUGS = [path.relative_to(EXERCISES).as_posix() for path in EXERCISES.glob("bugs/*.py")]

# (lesson, exercise, a typical wrong solution, what the diagnosis must say); the code is put after
# the answers, so that it replaces one of them
MISTAKES = [
    (
        *("demo01/01", "build_request"),
        'def build_request(e, m, t): return f"{e}/models/{m}", {"inputs": t}',
        "成了两个 /",
    ),
    (
        *("demo01/01", "build_request"),
        'def build_request(e, m, t): return f"{e.rstrip(chr(47))}/models/{m}", {"input": t}',
        "键是 inputs",
    ),
    (
        *("demo01/01", "read_answer"),
        'def read_answer(r): return r.json()[0]["generated_text"]',
        "没看状态码和类型就取内容",
    ),
    (
        *("demo01/01", "read_answer"),
        "def read_answer(r):\n"
        '    if r.status_code != 200: return f"状态码 {r.status_code}"\n'
        '    if r.headers.get("Content-Type") != "application/json": return "不是 JSON"\n'
        '    return r.json()[0]["generated_text"]',
        "用 startswith，不要用 ==",
    ),
    (
        *("demo01/02", "bearer_headers"),
        "def bearer_headers(e):\n"
        "    token = e.get('HF_TOKEN', '')\n"
        "    return {'Authorization': f'Bearer {token}'} if token.strip() else {}",
        "换行和空格还在里面",
    ),
    (
        *("demo01/02", "bearer_headers"),
        "def bearer_headers(e):\n"
        "    token = e['HF_TOKEN'].strip()\n"
        "    return {'Authorization': f'Bearer {token}'} if token else {}",
        "没有这个变量时 [] 会抛 KeyError",
    ),
    (
        *("demo01/02", "redact"),
        "def redact(text, token): return text.replace(token, '***')",
        "插进每个缝里",
    ),
    (
        *("demo01/02", "ask"),
        "def ask(url, headers, payload, timeout): return requests.post(url, headers)",
        "headers 没有写名字",
    ),
    (
        *("demo01/02", "ask"),
        "def ask(url, headers, payload, timeout):\n"
        "    return requests.post(url, headers=headers, data=payload, timeout=timeout)",
        "data= 发的是表单",
    ),
    (
        *("demo01/03", "find_model_folder"),
        "def find_model_folder(c):\n"
        "    return next((p.parent for p in sorted(c.rglob('config.json'))), None)",
        "是下载断了留下的",
    ),
    (
        *("demo01/03", "find_model_folder"),
        "def find_model_folder(c): return c",
        "cache_dir 只是外壳",
    ),
    (
        *("demo01/03", "resume_headers"),
        "def resume_headers(p, total): return {'Range': f'bytes={p.stat().st_size + 1}-'}",
        "多跳了一个",
    ),
    (
        *("demo01/tensors", "last_scores"),
        "def last_scores(logits): return logits[-1]",
        "[-1] 是最后一句话",
    ),
    (
        *("demo01/tensors", "last_scores"),
        "def last_scores(logits): return logits[:, -1:]",
        "写 -1 才去掉它",
    ),
    (
        *("demo01/tensors", "names_of"),
        "def names_of(x, names): return [names[i] for i in x.argmax(dim=0)]",
        "竖着比",
    ),
    (
        *("demo01/tensors", "names_of"),
        "def names_of(x, names): return [names[i] for i in x.argmax()]",
        "没有写 dim 只有一个数",
    ),
    (
        *("demo01/tensors", "shares"),
        "def shares(counts): return counts / counts.sum(dim=1)",
        "每一列除以了一个和",
    ),
    (
        *("demo01/04", "with_temperature"),
        "def with_temperature(x, t): return (x * t).softmax(-1)",
        "乘反了",
    ),
    (
        *("demo01/04", "keep_top_k"),
        "def keep_top_k(x, k): return x * (x >= x.topk(min(k, len(x))).values[-1])",
        "换成 0 不是去掉",
    ),
    (
        *("demo01/04", "keep_top_k"),
        "def keep_top_k(x, k):\n"
        "    x[x < x.topk(min(k, len(x))).values[-1]] = float('-inf')\n"
        "    return x",
        "先 clone()",
    ),
    (
        *("demo01/04", "keep_top_p"),
        "def keep_top_p(x, p): return x.masked_fill(x.softmax(-1) < p, float('-inf'))",
        "拿每个概率自己和 p 比了",
    ),
    (
        *("demo01/04", "keep_top_p"),
        "def keep_top_p(x, p):\n"
        "    chance, order = x.softmax(-1).sort(descending=True)\n"
        "    kept = torch.full_like(x, float('-inf'))\n"
        "    best = order[chance.cumsum(0) < p]\n"
        "    kept[best] = x[best]\n"
        "    return kept",
        "让总和跨过 p 的那一个也要留下",
    ),
    (
        *("demo01/05", "files_to_download"),
        "def files_to_download(n):\n"
        "    return [x for x in n if x.endswith(('.json', '.txt', '.bin', '.safetensors'))]",
        "两种权重都下了",
    ),
    (
        *("demo01/05", "sha256_of"),
        "def sha256_of(path): return hashlib.sha256(path.read_bytes()).hexdigest()",
        "一次读了整个文件",
    ),
    (
        *("demo01/05", "sha256_of"),
        "def sha256_of(path): return hashlib.sha256(path.open('rb').read(2**20)).hexdigest()",
        "只算了开头的 1 MB",
    ),
    (
        *("demo01/attention", "scores"),
        "def scores(query, key): return query @ key.T",
        "没有除以 √d",
    ),
    (
        *("demo01/attention", "attend"),
        "def attend(q, k, v, mask): return scores(q, k).softmax(dim=-1) * mask @ v",
        "先 softmax 再遮",
    ),
    (
        *("demo01/attention", "attend"),
        "def attend(q, k, v, mask):\n"
        "    return scores(q, k).masked_fill(mask == 0, float('-inf')).softmax(dim=0) @ v",
        "softmax 的 dim 错了",
    ),
    (
        *("demo01/attention", "causal_mask"),
        "def causal_mask(n): return torch.ones(n, n).triu(diagonal=1) == 1",
        "看得见的是 True",
    ),
    (
        *("demo01/06", "linear_parameters"),
        "def linear_parameters(i, o): return i * o",
        "漏了偏置",
    ),
    (
        *("demo01/06", "embedding_parameters"),
        "def embedding_parameters(c):\n"
        "    rows = c.vocab_size + c.max_position_embeddings + c.type_vocab_size\n"
        "    return rows * c.hidden_size",
        "漏了 LayerNorm",
    ),
    (
        *("demo01/06", "shapes"),
        "def shapes(n, length, c):\n"
        "    h = c.hidden_size\n"
        "    return {'input_ids': (n, length), 'last_hidden_state': (n, length, h),\n"
        "            'pooler_output': (n, h), 'logits': (n, length, c.num_labels)}",
        "一句话一组分数",
    ),
    (
        *("demo01/06", "make_classifier"),
        "import torch\n"
        "def make_classifier(c, names):\n"
        "    model = BertForSequenceClassification(c)\n"
        "    model.classifier = torch.nn.Linear(c.hidden_size, len(names))\n"
        "    return model",
        "只换了 model.classifier",
    ),
    (
        *("demo01/07", "generation_answer"),
        "def generation_answer(p, w, full): return {'generated_text': p + w if full else w}",
        "少了外面的一层列表",
    ),
    (
        *("demo01/07", "classification_answer"),
        "_right = classification_answer\n"
        "def classification_answer(logits, top_k): return _right(logits, top_k)[0]",
        "分类的回答是列表里的列表",
    ),
    (
        *("demo01/07", "classification_answer"),
        "def classification_answer(logits, top_k):\n"
        "    e = {k: math.exp(v) for k, v in logits.items()}\n"
        "    rows = [{'label': k, 'score': v / sum(e.values())} for k, v in e.items()]\n"
        "    return [sorted(rows, key=lambda r: -r['score'])[:top_k]]",
        "先减去最大的那个",
    ),
    (
        *("demo01/07", "allowed"),
        "def allowed(header, token): return header == f'Bearer {token}'",
        "没有用 compare_digest",
    ),
    (
        *("demo01/07", "allowed"),
        "def allowed(header, token): return hmac.compare_digest(header or '', f'Bearer {token}')",
        "先 .encode()",
    ),
    (
        *("demo02/01", "encode"),
        "def encode(text, vocab, n):\n"
        "    ids = [vocab.get(c, 100) for c in text][:n]\n"
        "    return {'input_ids': ids + [0] * (n - len(ids)),\n"
        "            'attention_mask': [1] * len(ids) + [0] * (n - len(ids))}",
        "忘了 [CLS] 和 [SEP]",
    ),
    (
        *("demo02/01", "encode"),
        "def encode(text, vocab, n):\n"
        "    ids = [101, *(vocab.get(c, 100) for c in text), 102]\n"
        "    ids = (ids + [0] * n)[:n]\n"
        "    return {'input_ids': ids, 'attention_mask': [int(i > 0) for i in ids]}",
        "把 [SEP] 截掉了",
    ),
    (
        *("demo02/01", "decode"),
        "def decode(ids, vocab):\n"
        "    tokens = {i: t for t, i in vocab.items()}\n"
        "    return ''.join(tokens[i] for i in ids)",
        "是给模型的记号，不是原文",
    ),
    (*("demo02/01", "MAX_LENGTH"), "MAX_LENGTH = 13", "也占位置"),
    (*("demo02/01", "MAX_LENGTH"), "MAX_LENGTH = len(SENTENCE) + 2", "不是一个字母一个 token"),
    (
        *("demo02/02", "read_reviews"),
        "def read_reviews(path):\n"
        "    rows = csv.DictReader(io.StringIO(path.read_text(encoding='utf-8')))\n"
        "    return [(r['text'], int(r['label'])) for r in rows]",
        "看不见的字符：用 utf-8-sig",
    ),
    (
        *("demo02/02", "read_reviews"),
        "def read_reviews(path):\n"
        "    rows = csv.DictReader(io.StringIO(path.read_text(encoding='utf-8-sig')))\n"
        "    return [(r['text'], int(r['label'])) for r in rows]",
        "这个文件的编码是 gbk",
    ),
    (
        *("demo02/02", "choose_max_length"),
        "_right = choose_max_length\ndef choose_max_length(x, share): return _right(x, share) - 2",
        "[CLS] 和 [SEP] 也占两个位置",
    ),
    (
        *("demo02/02", "choose_max_length"),
        "def choose_max_length(x, s): return min(512, sorted(x)[min(len(x)-1, int(len(x)*s))] + 2)",
        "多取了一格",
    ),
    (
        *("demo02/02", "leaked"),
        "def leaked(train, test): return [t for t in test if t in train]",
        "一字不差才算",
    ),
    (
        *("demo02/my_dataset", "ReviewDataset"),
        "class ReviewDataset(ReviewDataset):\n"
        "    def __getitem__(self, i): return self.rows[i]['text'], self.rows[i]['label']",
        "标签还是文字",
    ),
    (
        *("demo02/my_dataset", "number_labels"),
        "def number_labels(names):\n"
        "    seen = list(dict.fromkeys(names))\n"
        "    return [seen.index(n) for n in names], seen",
        "按出现的先后编的号",
    ),
    (
        *("demo02/learning", "gradient"),
        "def gradient(w, b, x, y): return 2 * (y - w * x - b) * x, 2 * (y - w * x - b)",
        "方向反了",
    ),
    (
        *("demo02/learning", "gradient"),
        "def gradient(w, b, x, y): return 2 * (w * x + b - y), 2 * (w * x + b - y)",
        "w 的梯度还要乘 x",
    ),
    (
        *("demo02/learning", "learn"),
        "import torch\n"
        "def learn(data, lr, epochs):\n"
        "    w, b = (torch.tensor(0.0, requires_grad=True) for _ in range(2))\n"
        "    optimizer = torch.optim.SGD([w, b], lr)\n"
        "    for x, y in data * epochs:\n"
        "        ((w * x + b - y) ** 2).backward()\n"
        "        optimizer.step()\n"
        "    return w.item(), b.item()",
        "没有 zero_grad()",
    ),
    (
        *("demo02/learning", "learn"),
        "def learn(data, lr, epochs):\n"
        "    w = b = 0.0\n"
        "    for x, y in data * epochs:\n"
        "        w -= lr * gradient(w, b, x, y)[0]\n"
        "        b -= lr * gradient(w, b, x, y)[1]\n"
        "    return w, b",
        "先改了 w",
    ),
    (
        *("demo02/learning", "cross_entropy"),
        "def cross_entropy(x, label):\n"
        "    top = max(x)\n"
        "    return math.log(sum(math.exp(s - top) for s in x))",
        "取成了最像的那一类",
    ),
    (
        *("demo02/learning", "cross_entropy"),
        "def cross_entropy(x, label):\n"
        "    powers = [math.exp(s - max(x)) for s in x]\n"
        "    return -math.log(powers[label] / sum(powers))",
        "ln 0 没有",
    ),
    (
        *("demo02/net", "freeze"),
        "def freeze(encoder): return encoder.eval()",
        "eval() 只关 dropout",
    ),
    (
        *("demo02/net", "freeze"),
        "def freeze(encoder):\n    encoder.requires_grad = False\n    return encoder.eval()",
        "一个一个地关才有用",
    ),
    (
        *("demo02/net", "Classifier"),
        "class Classifier(Classifier):\n"
        "    def forward(self, i, m): return super().forward(i, m).softmax(1)",
        "不要 softmax",
    ),
    (
        *("demo02/net", "Classifier"),
        "class Classifier(Classifier):\n"
        "    def __init__(self, e, n):\n"
        "        super().__init__(e, n)\n"
        "        self.fc = nn.Linear(768, n)",
        "768 是 bert-base 的宽度",
    ),
    (
        *("demo02/net", "count_trained"),
        "def count_trained(model): return sum(p.numel() for p in model.parameters())",
        "冻结的也数进去了",
    ),
    (
        *("demo02/06", "cls_features"),
        "def cls_features(encoder, batch): return encoder(**batch).last_hidden_state[:, 0]",
        "没有 encoder.eval()",
    ),
    (
        *("demo02/06", "cls_features"),
        "def cls_features(e, batch): return e.eval()(**batch).last_hidden_state[:, 0]",
        "没有 torch.no_grad()",
    ),
    (
        *("demo02/06", "make_batches"),
        "def make_batches(x, n): return [list(range(len(x)))[i:i+n] for i in range(0, len(x), n)]",
        "没有按长度排序",
    ),
    (
        *("demo02/06", "make_batches"),
        "_right = make_batches\n"
        "def make_batches(x, n): return [b for b in _right(x, n) if len(b) == n]",
        "最后凑不满的一批也要留下",
    ),
    (
        *("demo02/06", "put_back"),
        "def put_back(features, order): return features[order]",
        "再打乱一次",
    ),
    (
        *("demo02/train", "collate"),
        "def collate(b, t, n):\n"
        "    d = t([x for x, _ in b], truncation=True, max_length=n, padding='max_length',\n"
        "          return_tensors='pt')\n"
        "    return d['input_ids'], d['attention_mask'], torch.tensor([y for _, y in b])",
        "补到了 max_length",
    ),
    (
        *("demo02/train", "training_step"),
        "def training_step(model, loss_fn, optimizer, x, y):\n"
        "    loss = loss_fn(model(x), y)\n"
        "    loss.backward()\n"
        "    optimizer.step()\n"
        "    return loss.item()",
        "没有 zero_grad()",
    ),
    (
        *("demo02/train", "training_step"),
        "def training_step(model, loss_fn, optimizer, x, y):\n"
        "    loss = loss_fn(model(x).softmax(1), y)\n"
        "    optimizer.zero_grad()\n"
        "    loss.backward()\n"
        "    optimizer.step()\n"
        "    return loss.item()",
        "又做了一次 softmax",
    ),
    (
        *("demo02/train", "accuracy"),
        "def accuracy(x, y): return (x.max(1).values == y).double().mean().item()",
        "argmax 才是第几类",
    ),
    (
        *("demo02/train", "accuracy"),
        "def accuracy(x, y): return (x == y).double().mean().item()",
        "先 argmax(dim=1)",
    ),
    (
        *("demo02/train", "should_stop"),
        "def should_stop(h, p): return 0 < p <= h[::-1].index(max(h))",
        "打平不算超过",
    ),
    (
        *("demo02/train", "should_stop"),
        "def should_stop(h, p): return p <= len(h) - 1 - h.index(max(h))",
        "patience 是 0 表示永不提前停",
    ),
    (
        *("demo02/07", "confusion"),
        "_right = confusion\ndef confusion(a, b, n): return _right(b, a, n)",
        "行和列反了",
    ),
    (
        *("demo02/07", "wilson"),
        "def wilson(c, n):\n"
        "    p = c / n\n"
        "    half = 1.96 * (p * (1 - p) / n) ** 0.5\n"
        "    return p - half, p + half",
        "这是正态近似",
    ),
    (
        *("demo02/07", "majority_accuracy"),
        "_right = majority_accuracy\ndef majority_accuracy(a, b): return _right(b, b)",
        "等于漏题",
    ),
    (
        *("demo02/08", "softmax"),
        "def softmax(x): return [math.exp(v) / sum(map(math.exp, x)) for v in x]",
        "先每个都减去最大的那个",
    ),
    (
        *("demo02/08", "verdict"),
        "def verdict(p, names): return f'{names[p.index(max(p))]} {max(p)}'",
        "要百分数",
    ),
    (
        *("demo02/08", "predict_all"),
        "def predict_all(texts, ask): return ask(texts)",
        "空评论也送去算了",
    ),
    (
        *("demo02/08", "predict_all"),
        "def predict_all(texts, ask): return [ask([t])[0] if t.strip() else None for t in texts]",
        "一条一条地问",
    ),
    (
        *("demo02/09", "take_batch"),
        "def take_batch(waiting, limit): return [waiting.get() for _ in range(limit)]",
        "在等凑满 limit 个",
    ),
    (
        *("demo02/09", "hand_out"),
        "def hand_out(results, sizes): return [results[:n] for n in sizes]",
        "别人的答案给错了人",
    ),
    (
        *("demo02/09", "check_request"),
        "_right = check_request\n"
        "def check_request(b): return 413 if len(b.decode('utf-8', 'ignore')) > MAX_BYTES else 422",
        "这是好的请求",
    ),
    (
        *("demo02/09", "check_request"),
        "def check_request(body):\n"
        "    if len(body) > MAX_BYTES: return 413\n"
        "    try: q = json.loads(body)\n"
        "    except ValueError: return 400\n"
        "    return 200 if q.get('inputs', '').strip() else 422",
        "是 JSON，但不是字典",
    ),
    (
        *("demo02/10", "ece"),
        "def ece(c, r, bins=10):\n"
        "    which = [min(int(x * bins), bins - 1) for x in c]\n"
        "    gaps = []\n"
        "    for b in set(which):\n"
        "        rows = [i for i, w in enumerate(which) if w == b]\n"
        "        gaps.append(abs(sum(c[i] - r[i] for i in rows) / len(rows)))\n"
        "    return sum(gaps) / len(gaps)",
        "每一档要按条数加权",
    ),
    (
        *("demo02/10", "recalls"),
        "_right = recalls\ndef recalls(t): return _right([list(x) for x in zip(*t)])",
        "那是 precision",
    ),
    (
        *("demo02/10", "mean_attention"),
        "def mean_attention(layer): return layer[0].sum(0)",
        "每行加起来是头数",
    ),
    (
        *("demo02/11", "label_maps"),
        "_right = label_maps\n"
        "def label_maps(n): return _right(n) | {'id2label': {str(i): x for i, x in enumerate(n)}}",
        "编号要整数",
    ),
    (
        *("demo02/11", "transparent_pooler"),
        "_right = transparent_pooler\n"
        "def transparent_pooler(w, b):\n"
        "    one = {'pooler_weight': torch.eye(w.shape[1]), 'classifier_weight': w}\n"
        "    return _right(w, b) | one",
        "tanh 把大的数都压到 1 以内了",
    ),
    (
        *("demo02/11", "transparent_pooler"),
        "_right = transparent_pooler\n"
        "def transparent_pooler(w, b): return _right(w, b) | {'classifier_weight': w}",
        "分类头没有放大回来",
    ),
    (
        *("demo02/12", "take_balanced"),
        "def take_balanced(labels, order, size): return order[:size]",
        "碰上哪类就是哪类",
    ),
    (
        *("demo02/12", "take_balanced"),
        "def take_balanced(labels, order, size):\n"
        "    classes = sorted(set(labels))\n"
        "    queues = [[i for i in order if labels[i] == c] for c in classes]\n"
        "    return [i for queue in queues for i in queue[:size // len(classes)]]",
        "一类拿完再拿下一类",
    ),
    (
        *("demo02/12", "labels_needed"),
        "def labels_needed(curve, target):\n"
        "    return next((n for n, score in curve.items() if score >= target), None)",
        "给的是达到的那一点",
    ),
    (
        *("demo02/12", "labels_needed"),
        "import numpy as np\n"
        "_right = labels_needed\n"
        "def labels_needed(c, t):\n"
        "    if _right(c, t) is None: return None\n"
        "    return float(np.interp(t, np.maximum.accumulate([*c.values()]), [*c]))",
        "横轴是对数",
    ),
    (
        *("demo02/extra_finetune", "parameter_groups"),
        "def parameter_groups(m, a, b):\n"
        "    return [{'params': [*m.fc.parameters()], 'lr': a},\n"
        "            {'params': [*m.encoder.parameters()], 'lr': b}]",
        "冻结的参数也进来了",
    ),
    (
        *("demo02/extra_finetune", "parameter_groups"),
        "_right = parameter_groups\ndef parameter_groups(m, a, b): return _right(m, a, a)",
        "两组的学习率一样",
    ),
    (
        *("demo02/extra_finetune", "warmup_factor"),
        "def warmup_factor(s, w, t): return min(1.0, s / max(1, w))",
        "热身之后要直线降到 0",
    ),
    (
        *("demo02/extra_finetune", "clip_gradients"),
        "import torch\n"
        "def clip_gradients(ps, limit):\n"
        "    gs = [p.grad for p in ps if p.grad is not None]\n"
        "    for g in gs: g *= min(1, limit / g.norm())\n"
        "    return torch.cat([g.flatten() for g in gs]).norm().item()",
        "每个参数各裁各的",
    ),
    (
        *("demo02/extra_debugging", "expected_first_loss"),
        "def expected_first_loss(n): return math.log(1 / n)",
        "少了负号",
    ),
    (
        *("demo02/extra_debugging", "overfits"),
        "def overfits(m, f, o, x, y, steps):\n"
        "    for _ in range(steps): f(m(x), y).backward(); o.step()\n"
        "    return f(m(x), y).item() < 0.1",
        "没有 zero_grad()",
    ),
    (
        *("demo02/extra_debugging", "overfits"),
        "def overfits(m, f, o, x, y, steps):\n"
        "    for _ in range(steps): o.zero_grad(); loss = f(m(x), y); loss.backward(); o.step()\n"
        "    return bool((m(x).argmax(1) == y).all())",
        "看的是精度",
    ),
    (
        *("demo02/extra_debugging", "diagnose"),
        "def diagnose(t, v):\n"
        "    if t[-1] >= t[0]: return '步子太大'\n"
        "    if t[-1] > 0.9 * t[0]: return '步子太小'\n"
        "    return '过拟合' if v[-1] > 1.2 * min(v) else '正常'",
        "nan 和谁比都是 False",
    ),
    (
        *("demo02/extra_debugging", "diagnose"),
        "_right = diagnose\n"
        "def diagnose(t, v):\n"
        "    said = _right(t, v)\n"
        "    return '过拟合' if said == '正常' and v[-1] > 1.2 * t[-1] else said",
        "要看它有没有回头往上",
    ),
    (
        *("demo02/extra_ablation", "mean_of_words"),
        "def mean_of_words(x, mask): return x[:, 1:-1].mean(1)",
        "在短句里是 [PAD] 不是 [SEP]",
    ),
    (
        *("demo02/extra_ablation", "mean_of_words"),
        "def mean_of_words(x, mask): return x.mean(1)",
        "补齐的位置也平均进去了",
    ),
    (
        *("demo02/extra_ablation", "matters"),
        "def matters(a, b): return statistics.mean(a) != statistics.mean(b)",
        "种子换一换也会不同",
    ),
]


# other right ways than the answers': the checks must not ask for one way of writing it
ALSO_RIGHT = [
    (
        *("demo01/tensors", "last_scores"),
        "def last_scores(logits): return logits[:, logits.shape[1] - 1, :]",
    ),
    (
        *("demo01/tensors", "names_of"),
        "def names_of(x, names): return [names[row.argmax()] for row in x]",
    ),
    (
        *("demo01/tensors", "shares"),
        "def shares(counts): return counts / counts.sum(dim=1, keepdim=True)",
    ),
    (
        *("demo01/attention", "attend"),
        "from torch.nn.functional import scaled_dot_product_attention\n"
        "def attend(q, k, v, mask):\n"
        "    return scaled_dot_product_attention(q, k, v, attn_mask=mask[None].bool())",
    ),
    (
        *("demo01/attention", "causal_mask"),
        "def causal_mask(n): return torch.arange(n)[:, None] >= torch.arange(n)",
    ),
    (
        *("demo02/learning", "gradient"),
        "import torch\n"
        "def gradient(w, b, x, y):\n"
        "    w, b = (torch.tensor(n, requires_grad=True) for n in (w, b))\n"
        "    ((w * x + b - y) ** 2).backward()\n"
        "    return w.grad.item(), b.grad.item()",
    ),
    (
        *("demo02/learning", "learn"),
        "import torch\n"
        "def learn(data, lr, epochs):\n"
        "    fc = torch.nn.Linear(1, 1)\n"
        "    for p in fc.parameters(): p.data.zero_()\n"
        "    optimizer = torch.optim.SGD(fc.parameters(), lr)\n"
        "    for x, y in data * epochs:\n"
        "        optimizer.zero_grad()\n"
        "        ((fc(torch.tensor([x])) - y) ** 2).sum().backward()\n"
        "        optimizer.step()\n"
        "    return fc.weight.item(), fc.bias.item()",
    ),
    (
        *("demo01/03", "find_model_folder"),
        "def find_model_folder(c):\n"
        "    for folder in [c, *(p for p in c.rglob('*') if p.is_dir())]:\n"
        "        names = [p.name for p in folder.iterdir()]\n"
        "        if 'config.json' in names and any(n.endswith(('safetensors', 'bin')) "
        "for n in names):\n"
        "            return folder",
    ),
    (
        *("demo01/04", "keep_top_p"),
        "from transformers import TopPLogitsWarper\n"
        "def keep_top_p(x, p): return TopPLogitsWarper(p)(None, x[None])[0]",
    ),
    (
        *("demo01/05", "sha256_of"),
        "def sha256_of(path):\n"
        "    with path.open('rb') as f: return hashlib.file_digest(f, 'sha256').hexdigest()",
    ),
    (
        *("demo02/02", "choose_max_length"),
        "import math\n"
        "def choose_max_length(x, s): return min(512, sorted(x)[math.ceil(len(x) * s) - 1] + 2)",
    ),
    (
        *("demo02/net", "freeze"),
        "def freeze(encoder): return encoder.requires_grad_(False).eval()",
    ),
    (
        *("demo02/06", "cls_features"),
        "def cls_features(encoder, batch):\n"
        "    encoder.train(False)\n"
        "    with torch.inference_mode(): return encoder(**batch)[0][:, 0, :]",
    ),
    (
        *("demo02/06", "make_batches"),
        "def make_batches(x, n):\n"
        "    order = sorted(range(len(x)), key=lambda i: -x[i])\n"
        "    return [order[i:i + n] for i in range(0, len(order), n)]",
    ),
    (
        *("demo02/06", "put_back"),
        "def put_back(features, order): return features[torch.tensor(order).argsort()]",
    ),
    (
        *("demo02/train", "training_step"),
        "def training_step(model, loss_fn, optimizer, x, y):\n"
        "    optimizer.zero_grad()\n"
        "    out = model(x)\n"
        "    loss = loss_fn(out, y)\n"
        "    loss.backward()\n"
        "    optimizer.step()\n"
        "    return float(loss.detach())",
    ),
    (
        *("demo02/07", "confusion"),
        "from sklearn.metrics import confusion_matrix\n"
        "def confusion(a, b, n): return confusion_matrix(a, b, labels=range(n)).tolist()",
    ),
    (
        *("demo02/09", "take_batch"),
        "def take_batch(waiting, limit):\n"
        "    batch = [waiting.get()]\n"
        "    try:\n"
        "        while len(batch) < limit: batch.append(waiting.get_nowait())\n"
        "    except queue.Empty: pass\n"
        "    return batch",
    ),
    (
        *("demo02/12", "take_balanced"),
        "def take_balanced(labels, order, size):\n"
        "    seen, rank = {}, {}\n"
        "    for i in order:\n"
        "        rank[i] = seen[labels[i]] = seen.get(labels[i], -1) + 1\n"
        "    return sorted(order, key=lambda i: (rank[i], labels[i]))[:size]",
    ),
    (
        *("demo02/11", "transparent_pooler"),
        "def transparent_pooler(w, b):\n"
        "    n, s = w.shape[1], 0.001\n"
        "    return {'pooler_weight': torch.eye(n) * s, 'pooler_bias': torch.zeros(n),\n"
        "            'classifier_weight': w / s, 'classifier_bias': b}",
    ),
    (
        *("demo02/extra_debugging", "overfits"),
        "def overfits(m, f, o, x, y, steps):\n"
        "    for _ in range(steps):\n"
        "        o.zero_grad()\n"
        "        f(m(x), y).backward()\n"
        "        o.step()\n"
        "        if f(m(x), y) < 0.1: return True\n"
        "    return False",
    ),
    (
        *("demo02/extra_finetune", "clip_gradients"),
        "import torch\n"
        "def clip_gradients(ps, limit):\n"
        "    ps = [p for p in ps if p.grad is not None]\n"
        "    length = torch.cat([p.grad.flatten() for p in ps]).norm().item()\n"
        "    for p in ps: p.grad = p.grad * min(1.0, limit / length)\n"
        "    return length",
    ),
]


def verdicts(check, lesson, file) -> list:
    return [v for _, _, v, done in check.steps([check.Job(lesson, file)]) if done and v]


@pytest.mark.parametrize("file", FILES)
def test_unsolved_says_where_and_the_answer_passes(check, monkeypatch, file):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # a proxy must not see the loopback
    lesson = check.find_lesson(file)
    todo = verdicts(check, lesson, lesson.file)
    assert len(todo) >= 2
    source = lesson.file.read_text(encoding="utf-8").splitlines()
    for verdict in todo:
        assert verdict.state == check.UNSOLVED and verdict.hint, verdict
        line = int(re.fullmatch(r"第 (\d+) 行", verdict.why)[1])
        assert verdict.name in source[line - 1]
    wrong = [v for v in verdicts(check, lesson, lesson.answer) if v.state != check.RIGHT]
    assert wrong == []


@pytest.mark.parametrize("file", FILES)
def test_the_answer_solves_the_exercise_as_it_is_set(file):
    """Same functions, same arguments, same instructions: only the bodies and the head differ"""

    def outline(path) -> list:
        found = []
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                arguments = ast.unparse(node.args) if hasattr(node, "args") else ""
                found.append((node.name, arguments, ast.get_docstring(node)))
        return found

    # helpers inside an answer have no instructions
    told = [entry for entry in outline(EXERCISES / "answers" / file) if entry[2]]
    assert outline(EXERCISES / file) == told


def torch_calls(file) -> set[str]:
    """PyTorch's functions and methods that this file calls; not math.exp, not a list's index"""
    source = file.read_text(encoding="utf-8")
    nodes = list(ast.walk(ast.parse(source)))
    modules = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    called = [node.func for node in nodes if isinstance(node, ast.Call)]
    methods = [f for f in called if isinstance(f, ast.Attribute) and f.attr[0] != "_"]
    names = {f.attr for f in methods if ast.unparse(f.value) not in modules - {"torch"}}
    homes = (torch, torch.Tensor, nn, nn.functional, nn.Module, torch.optim.Optimizer)
    uses_torch = re.search(r"^(import|from) torch", source, re.MULTILINE)
    return {n for n in names - {"index"} if uses_torch and any(hasattr(h, n) for h in homes)}


@pytest.mark.parametrize("file", FILES)
def test_the_head_says_where_each_torch_call_was_taught(file):
    head = ast.get_docstring(ast.parse((EXERCISES / file).read_text(encoding="utf-8")))
    told = head.partition("\n用到的 PyTorch：")[2].partition("\n\n")[0]
    taught, place = set(), ""
    for names, new, step in re.findall(r"([`\w、]+)（(\S+ )?第 (\d+) 步）", told):
        place = new.strip() or place  # （第 6 步）is in the file named before it
        text = (ROOT / place).read_text(encoding="utf-8")
        parts = re.split(r'^(?:## | +step\(f?")(\d+)\. ', text, flags=re.MULTILINE)
        section = dict(zip(parts[1::2], parts[2::2], strict=True))[step]
        for name in re.findall(r"`(\w+)`", names):
            assert re.search(rf"\b{name}\(", section), f"{place}, step {step}: no {name}"
            taught.add(name)
    assert torch_calls(EXERCISES / "answers" / file) <= taught


def judged(check, tmp_path, key: str, name: str, code: str):
    """The verdict on code in place of the answer to this exercise"""
    lesson = check.find_lesson(key)
    file = tmp_path / "mine.py"
    answer = lesson.answer.read_text(encoding="utf-8")
    file.write_text(f"{answer}\n\n{code}\n", encoding="utf-8")
    task = next(task for task in lesson.exercises() if task.name == name)
    return check.judge(task, check.load(file), file)


@pytest.mark.parametrize(
    ("key", "name", "code", "diagnosis"), MISTAKES, ids=[f"{m[0]}-{m[1]}" for m in MISTAKES]
)
def test_a_typical_mistake_is_named(check, tmp_path, key, name, code, diagnosis):
    verdict = judged(check, tmp_path, key, name, code)
    assert verdict.state == check.WRONG
    assert diagnosis in verdict.why and "Traceback" not in verdict.why


@pytest.mark.parametrize(
    ("key", "name", "code"), ALSO_RIGHT, ids=[f"{m[0]}-{m[1]}" for m in ALSO_RIGHT]
)
def test_another_right_way_passes(check, tmp_path, key, name, code):
    verdict = judged(check, tmp_path, key, name, code)
    assert (verdict.state, verdict.why) == (check.RIGHT, "")


def test_every_exercise_has_a_mistake_and_a_line_on_the_page(check):
    lessons = [lesson for lesson in check.ALL if lesson.demo in check.LESSONS]
    tasks = {(lesson.key, task.name) for lesson in lessons for task in lesson.exercises()}
    assert {mistake[:2] for mistake in MISTAKES} == tasks
    page = (EXERCISES / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `\S+` \| `(\S+)` \| (.*) \|$", page, re.MULTILINE)
    assert {(key, name) for key, cell in rows for name in re.findall(r"`(\w+)`", cell)} == tasks


def test_every_numbered_lesson_has_exercises(check):
    covered = {lesson.name for lesson in check.ALL}
    for folder in ("demo01_hf_basics", "demo02_sentiment"):
        for path in (ROOT / folder).glob("*.py"):
            if re.match(r'"""第 [1-9]\d* 课', path.read_text(encoding="utf-8")):
                assert path.stem in covered
    listed = [lesson.file.relative_to(EXERCISES).as_posix() for lesson in check.ALL]
    assert sorted(listed) == sorted(FILES + BUGS)


def test_a_lesson_can_be_named_in_several_ways(check):
    path = "exercises\\demo02\\ex_01_tokenizer.py"
    for text in ("demo02/01", "demo02/01_tokenizer", "demo02/tokenizer", path):
        assert check.find_lesson(text).name == "01_tokenizer"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *(("demo01/4", "demo01/04"), ("demo02\\2", "demo02/02"), ("demo02/trian", "demo02/train")),
        *(("demo02/labelcurve", "demo02/12"), ("什么", "demo02/01")),
    ],
)
def test_an_unknown_name_gets_the_nearest(check, typed, meant):
    with pytest.raises(CourseError) as caught:
        check.find_lesson(typed)
    assert caught.value.next_step.endswith(f"check.py {meant}")


def test_what_the_docstring_shows_is_printed(check, tmp_path, capsys):
    lesson = check.find_lesson("demo02/01")
    answer = lesson.answer.read_text(encoding="utf-8")
    wrong = (
        "def decode(ids, vocab):\n"
        "    names = {i: name for name, i in vocab.items()}\n"
        "    return ''.join(names[i] for i in ids)\n"
        "MAX_LENGTH = ..."
    )
    file = tmp_path / "mine.py"
    file.write_text(f"{answer}\n\n{wrong}\n", encoding="utf-8")
    found = verdicts(check, lesson, file)
    check.print_lesson(check.Job(lesson, lesson.file), found, with_hints=False)
    assert_shown(EXERCISES / "check.py", f"{capsys.readouterr().out}对 1，不对 1，没做 1")


def test_from_the_command_line(repo, tmp_path):
    script = "exercises/check.py"
    done = run_script(repo, script, "demo01/03")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "没做  find_model_folder" in done.stdout
    assert "把 raise NotImplementedError 或 ... 换成你的代码" in done.stdout
    assert "check.py demo01/03 --hint" in done.stdout
    hinted = run_script(repo, script, "demo01/03", "--hint")
    assert "提示：cache_dir.rglob" in hinted.stdout
    shown = run_script(repo, script, "demo01/03", "--answer")
    assert shown.returncode == 0 and "def find_model_folder" in shown.stdout
    answer = repo / "exercises/answers/demo01/ex_03_download_gpt2.py"
    done = run_script(repo, script, "demo01/03", "--file", answer)
    assert done.returncode == 0, done.stdout
    assert "对 2，不对 0，没做 0" in done.stdout
    unknown = run_script(repo, script, "demo01/99")
    assert unknown.returncode == 1 and "没有叫 demo01/99 的练习" in unknown.stderr


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def find_model_folder(x)\n    return 1", ["第 1 行的语法不对（expected ':'）"]),
        ("while True:\n    pass", ["2 秒还没有算完：多半是死循环"]),
        ("import nothing_like_this", ["运行到第 1 行出错：ModuleNotFoundError"]),
        (
            "import os\n\n\ndef find_model_folder(x):\n    os._exit(3)\n\n\n"
            "def resume_headers(part, total):\n    while True:\n        pass",
            ["Python 自己退出了", "2 秒还没有算完：多半是死循环"],
        ),
        (
            "import sys\n\n\ndef find_model_folder(x):\n    print('瞧')\n    return oops\n\n\n"
            "def resume_headers(one):\n    sys.exit()",
            ["瞧", "运行到第 6 行出错：NameError", "return oops", "参数的个数"],
        ),
        ("find_model_folder = ...", ["没做  find_model_folder", "文件里没有 resume_headers 了"]),
    ],
)
def test_whatever_the_learner_writes_it_is_one_sentence(repo, tmp_path, code, said):
    file = tmp_path / "mine.py"
    file.write_text(code, encoding="utf-8")
    done = run_script(repo, "exercises/check.py", "demo01/03", "--file", file, "--seconds", 2)
    assert done.returncode == 1
    for words in said:
        assert words in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_the_overview(check, monkeypatch, capsys, tmp_path):
    """Three lessons and a bug in a private copy: one is right, one wrong, the others untouched"""
    copy = tmp_path / "exercises"
    shutil.copytree(EXERCISES, copy)
    monkeypatch.setattr(check, "HERE", copy)
    monkeypatch.setattr(check, "ALL", [*check.ALL[:3], check.find_lesson("bugs/01")])
    answer = (copy / "answers/demo01/ex_03_download_gpt2.py").read_text(encoding="utf-8")
    wrong = "\n\ndef resume_headers(part, total):\n    return {}\n"
    (copy / "demo01/ex_03_download_gpt2.py").write_text(answer + wrong, encoding="utf-8")
    assert check.overview(5) is False
    out = capsys.readouterr().out
    assert re.search(r"demo01/01 +·· +对 0/2", out)
    assert re.search(r"demo01/03 +█× +对 1/2", out)
    assert "不对  resume_headers" in out and "没做" not in out.replace("· 没做", "")
    assert re.search(r"bugs/01 +· +对 0/1", out)
    assert "一共做对 1/8 题" in out
