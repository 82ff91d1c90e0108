r"""第 4 课  本地离线续写：同一句话，不同的参数

教什么：GPT 是续写模型，做的事只有一件：看前面的字，给字典里 21,128 个 token 各打一个分，
抽一个接上，再来一遍。temperature、top_k、top_p 管的都是"怎么抽"。

怎么运行：python demo01_hf_basics/04_generate_text.py
          python demo01_hf_basics/04_generate_text.py --prompt 今天天气 --device cuda
          python demo01_hf_basics/04_generate_text.py --model models/tiny-gpt2-chinese

先读 docs/05-transformer.md：token、字典、logits、softmax，那一页从头讲；形状、[0, -1]、argmax、topk
在 docs/10-tensors.md。

会看到（用随仓库的小模型；下载了真的，字和数不同）：
    ── 1. 找到模型
    …
    模型文件夹：…tiny-gpt2-chinese
    不写 r：models	iny-gpt2-chinese    写 r：models\tiny-gpt2-chinese
    ── 2. 读模型和分词器
    设备：…
    ── 3. 最简单的调用
    [{'generated_text': '你好，我是一款语言模型，…
    你好，我是一款语言模型，…
    你好，我是一款语言模型，本报北京…
    ── 4. 陷阱：末尾的 [SEP]
    带    …[2791, 7313, 102]   这家酒店的房间本报讯记者陈国报道：中
    不带  …[4638, 2791, 7313]  这家酒店的房间，但是我们的房间里面的设
    ── 5. 自己写生成的循环
    你好，我是一款语言模型，我们的是一个人，我们的是一个人，我们的人，我们都是一个人，…
    和 generate(do_sample=False) 写的一样：True
    ── 6. 一次只动一个参数
    常用的一组：看起来不是太小了，有点郁闷！
    贪心（每次取最可能的）
        我们的是一个人，我们的是一个人，我们的人，我们都是一个人，我们的，我们的是一个人
    …
    temperature 1.5（放飞）
        敲定的钻践拾着眼帘丛缚我需要研191缝的缝mode.摘调喂擀袅ho杀外抄-82俬状盐霸…
    …
    top_k 1 和贪心写的一样：True
    temperature 0：ValueError: …
    ── 7. 下一个字的概率
    「你好，我是一款语言模型，」的下一个字，最可能的 10 个（每个 █ 是 2 %）：
    …
      温度 1，前 10 个一共占 29%
          7.4% 我	████
          4.8% 但	██
    …
      top_p 0.5 留下 36 个候选，top_p 0.9 留下 435 个
    …
    下一步：python …05_download_bert.py
"""

import sys

import torch
from transformers import AutoModelForCausalLM, pipeline, set_seed
from transformers.utils import logging

from course.cli import run, step
from course.models import find_model, load_tokenizer

MODEL = "uer/gpt2-chinese-cluecorpussmall"  # 没下载时用随仓库的 tiny-gpt2-chinese
PROMPT = "你好，我是一款语言模型，"
HOTEL = "这家酒店的房间"  # 第 4 步用
LENGTH = 40  # 续写多少个 token
SEED = 0  # 随机数的种子：固定了，每次运行的结果都一样
NEXT = "demo01_hf_basics/05_download_bert.py"  # 学完运行哪一个

SETTINGS = {  # 表里的每一行：说明 → 参数
    "贪心（每次取最可能的）": {"do_sample": False},
    "temperature 0.3（保守）": {"temperature": 0.3},
    "temperature 0.7": {"temperature": 0.7},
    "temperature 1.5（放飞）": {"temperature": 1.5},
    "top_k 1（同贪心）": {"top_k": 1},
    "top_k 5": {"top_k": 5},
    "top_k 50": {"top_k": 50},
    "top_p 0.5": {"top_p": 0.5},
    "top_p 0.9": {"top_p": 0.9},
}
# 没写到的就当没有限制：温度 1 是原样，top_k 0 和 top_p 1 是不限
NEUTRAL = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}


def main(args) -> None:
    prompt = args.prompt
    if not prompt.strip():
        sys.exit("出错了：--prompt 是空的，没有开头就没法往下写\n下一步：--prompt 今天天气")

    step("1. 找到模型")
    #    找到模型文件夹：装着 config.json 的那个。给 --model 和 from_pretrained 的路径有两种写法：
    #    绝对路径  从盘符（或 /）写起，在哪里运行都对：r"D:\hf\models\tiny-gpt2-chinese"
    #    相对路径  从运行命令时所在的文件夹算起：models/tiny-gpt2-chinese，从别处运行就找不到
    #    Python 代码里，Windows 的路径前面要写 r（raw，原样）：不写，\t 是一个制表符，路径就断了
    #    写成 / 也行，Windows 认得；在命令行里敲 --model 用不着 r
    folder = find_model(args.model)
    print(f"模型文件夹：{folder}")
    wrong, right = "models\tiny-gpt2-chinese", r"models\tiny-gpt2-chinese"
    print(f"不写 r：{wrong}    写 r：{right}")

    step("2. 读模型和分词器")
    #    模型和分词器从同一个文件夹读，交给 pipeline；任务名写 "text-generation"（续写）
    #    local_files_only=True：只看本地，绝不联网。给了路径本来就不联网，写上是为了保险：路径写错时
    #    from_pretrained 会把它当成 Hub 上的名字，去网上找
    #    load_tokenizer 就是 BertTokenizer.from_pretrained，再核对一遍字典有多少项（为什么，见 05）
    logging.set_verbosity_error()
    logging.disable_progress_bar()  # 装权重时的进度条，一闪而过
    tokenizer = load_tokenizer(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    if not any("LMHead" in name or "CausalLM" in name for name in model.config.architectures or []):
        sys.exit(
            f"出错了：{folder} 是编码器，读得懂，不会往下写\n下一步：去掉 --model，或换一个 GPT-2"
        )
    longest = model.config.max_position_embeddings
    start = tokenizer(prompt, add_special_tokens=False, return_tensors="pt", verbose=False)
    start = start["input_ids"]  # 形状 (1, 提示语的 token 数)：1 句话
    if start.shape[1] + 2 + args.length > longest:
        said = (
            f"提示语有 {start.shape[1]} 个 token，再写 {args.length} 个，超过了模型的上限 {longest}"
        )
        sys.exit(f"出错了：{said}\n下一步：--prompt 短一点，或 --length 小一点")
    #    device：cpu 用内存，慢；cuda 用 NVIDIA 显卡的显存，快，模型要整个放得下
    #    没有显卡（或 torch 是 CPU 版）就用 cpu；写 device=0 也是第一块显卡，没有时却悄悄用 cpu
    device = "cuda" if torch.cuda.is_available() and args.device != "cpu" else "cpu"
    print(
        f"设备：{device}" + ("，没有能用的 NVIDIA 显卡" if args.device == "cuda" != device else "")
    )
    writer = pipeline("text-generation", model=model, tokenizer=tokenizer, device=device)

    step("3. 最简单的调用")
    #    num_return_sequences：同一句话写几个版本（贪心，也就是每次取最可能的，第 5 步，只有一种写
    #    法，要 2 个会报错）
    #    max_new_tokens：新写多少个 token。旧教程写的是 max_length=50，它把提示语和特殊符号
    #    [CLS]、[SEP] 也算在内，提示语一长就没有地方写了，所以现在不用它
    set_seed(SEED)
    plain = writer(prompt, max_new_tokens=args.length, num_return_sequences=2)
    print(plain)
    #    分词器在汉字之间放了空格，自己去掉；clean_up_tokenization_spaces=True（清理空格）
    #    只管英文标点前面的空格，管不到汉字
    for row in plain:
        print(row["generated_text"].replace(" ", ""))
    #    写得不好：模型小（真模型 1 亿个参数，随仓库的 900 万）；第二个版本忽然成了一篇新闻，是因为
    #    下面这个陷阱
    #    没写参数，不等于没有：pipeline 里面调用的是 model.generate（第 5 步），续写的 pipeline 自己
    #    定了 do_sample=True（按概率抽，第 6 步）、temperature=0.7，generate 的默认是 top_k=50

    step("4. 陷阱：末尾的 [SEP]")
    #    分词器默认在末尾加 [SEP]（id 102），意思是"话说完了"，模型就另起一篇。看每一行的最后：
    #    带 [SEP] 的，酒店的事一个字也没有了；add_special_tokens=False 就不加，接着说房间
    for title, add in (("带   ", True), ("不带 ", False)):
        ids = tokenizer(HOTEL, add_special_tokens=add)["input_ids"]
        rows = writer(HOTEL, max_new_tokens=12, do_sample=False, add_special_tokens=add)
        print(f"{title} …{ids[-3:]}\t{rows[0]['generated_text'].replace(' ', '')}")

    step("5. 自己写生成的循环")
    #    张量（tensor）：多维的数字表，模型收的、给的都是它，(1, 12) 是 1 行 12 列
    #    模型每次只做一件事：给下一个 token 打分。打分、挑一个、接上、再来，就是生成，大模型也是这样
    #    model(ids).logits  形状 (1, 长度, 21128)：每个位置上，字典里每一项一个分数
    #    [0, -1]            第 0 句、最后一个位置：下一个字的 21,128 个分数
    #    argmax             分数最高的那一项在第几个，也就是它的 id；每次都取它，叫贪心
    #    torch.cat          首尾相接，dim=1 是顺着长度那一维接；接的也要是两维，所以 view(1, 1)
    ids = start.to(device)
    with torch.inference_mode():  # 不训练，不用为求梯度记账，省内存
        for _ in range(args.length):
            logits = model(ids).logits[0, -1]
            best = logits.argmax()
            ids = torch.cat([ids, best.view(1, 1)], dim=1)
            if best == model.generation_config.eos_token_id:  # 它自己说：写完了
                break
    print(tokenizer.decode(ids[0]).replace(" ", ""))
    #    generate 就是这个循环，快在记着前面算过的（KV cache），不从头算；do_sample=False 是贪心
    greedy = model.generate(start.to(device), max_new_tokens=args.length, do_sample=False)
    print(f"和 generate(do_sample=False) 写的一样：{torch.equal(ids, greedy)}")

    step("6. 一次只动一个参数")
    #    不贪心，就是抽签：分数先变成概率（第 7 步），再按概率抽一个。种子都是 SEED，看它做了什么
    #    temperature  温度，分数除以它再变成概率：小于 1 更保守，大于 1 更离奇
    #    top_k        只在最可能的 k 个里抽；k = 1 每次都一样
    #    top_p        从最可能的往下数，概率加起来刚到 p 就停，只在这几个里抽
    #    写在一起时，先除温度，再 top_k，再 top_p：后一个在前一个留下的里面挑
    #    一般从 temperature 0.7、top_p 0.9 开始：要稳就往下调，要有新意就往上调
    #    别的引擎、别家的 API（vLLM、Ollama、OpenAI）也有这三个，名字一样（OpenAI 的没有 top_k），
    #    默认值各不相同，所以自己写明
    #    truncation=True：提示语比模型的上限（model_max_length）长就截断，
    #    不写，太长时先是一句警告，然后报错。可它只截到上限，没给要写的字留地方，所以第 2 步先查过
    #    长度。它不影响写出来的内容
    options = {"max_new_tokens": args.length, "add_special_tokens": False, "truncation": True}

    def write(**settings: object) -> str:
        set_seed(SEED)
        if settings.get("do_sample") is not False:
            settings = NEUTRAL | settings
        rows = writer(prompt, return_full_text=False, **options, **settings)
        return rows[0]["generated_text"].replace(" ", "")

    print(f"常用的一组：{write(temperature=0.7, top_k=50, top_p=0.9)}")
    for title, settings in SETTINGS.items():
        print(f"{title}\n    {write(**settings)}")
    print(f"top_k 1 和贪心写的一样：{write(top_k=1) == write(do_sample=False)}")
    #    温度越低越像贪心，可是不能写 0：分数要除以它。想要每次都一样，写 do_sample=False
    #    （OpenAI 的 API 收 temperature=0，就是替你换成了贪心）
    try:
        write(temperature=0.0)
    except ValueError as error:
        print(f"temperature 0：ValueError: {error}")

    step("7. 下一个字的概率")
    #    参数动的是这张图。画出来见 docs/pictures/temperature.png
    #    softmax：分数 → 概率。每个分数取 e 的几次方，再除以总和：e^x₁ / (e^x₁ + e^x₂ + …)，
    #    全是正数，加起来是 1，大的更大。分数先除以温度，除以小的数，差距就拉开，图更尖
    #    topk(10)：最大的 10 个，.indices 是它们的 id；sort 从大到小排好，cumsum 是加到这里一共多少
    #    没有够 p 的有几个，再加跨过 p 的那一个（+ 1），就是 top_p 留下的
    with torch.inference_mode():
        logits = model(start.to(device)).logits[0, -1].float().cpu()
    top = logits.topk(10).indices
    print(f"「{prompt}」的下一个字，最可能的 10 个（每个 █ 是 2 %）：")
    for temperature in (0.3, 1.0, 1.5):
        chance = (logits / temperature).softmax(-1)
        print(f"  温度 {temperature:g}，前 10 个一共占 {float(chance[top].sum()):.0%}")
        for token in top.tolist():
            share = float(chance[token])
            word = tokenizer.convert_ids_to_tokens(token)
            print(f"    {share:6.1%} {word}\t{'█' * round(share * 50)}")
        cumulative = chance.sort(descending=True).values.cumsum(0)
        half, most = (int((cumulative < p).sum()) + 1 for p in (0.5, 0.9))
        print(f"  top_p 0.5 留下 {half} 个候选，top_p 0.9 留下 {most} 个")

    # 小结：温度低，图更尖，写得保守；温度高，图更平，写得离奇。top_k、top_p 砍掉尾巴再抽
    #       贪心爱绕圈子（反复说同一句），因为每一步最可能不等于整段最好
    #       换一台机器、换一个版本，抽出来的字可能和这里不同，这是正常的：它本来就是抽签
    # 练习：--prompt 换成"这家酒店"；SEED 换成 1，哪几行会变，哪几行不变？为什么？
    # 练习：在 SETTINGS 里加一行 temperature 0.7 + top_p 0.5，先猜它比单用哪一个更保守，再运行
    # 动手：python exercises/check.py demo01/04


if __name__ == "__main__":
    run(main, model=MODEL, prompt=PROMPT, length=LENGTH, device="auto", then=NEXT)
