r"""第 4 课  本地离线续写：同一句话，不同的参数

教什么：GPT 是续写模型，做的事只有一件：看前面的字，给字典里 21,128 个 token 各打一个分，
抽一个接上，再来一遍。temperature、top_k、top_p 管的都是"怎么抽"。

怎么运行：python demo01_hf_basics/04_generate_text.py
          python demo01_hf_basics/04_generate_text.py --prompt 今天天气 --device cuda
          python demo01_hf_basics/04_generate_text.py --model models/tiny-gpt2-chinese

会看到：
    模型文件夹：…tiny-gpt2-chinese
    不写 r：models	iny-gpt2-chinese    写 r：models\tiny-gpt2-chinese
    …
    默认的 id：…[1798, 8024, 102]，最后的 102 就是 [SEP]
    …
    常用的一组参数，不带 [SEP]：
      你好，我是一款语言模型，｜看起来不是太小了，有点郁闷！
    …
      贪心（每次取最可能的）
          我们的是一个人，我们的是一个人，我们的人，我们都是一个人，我们的，我们的是一个人
    …
      temperature 1.5（放飞）
          敲定的钻践拾着眼帘丛缚我需要研191缝的缝mode.摘调喂擀袅ho杀外抄- 82俬状盐霸…
    …
    「你好，我是一款语言模型，」的下一个字，最可能的 10 个（每个 █ 是 2 %）：
    …
      温度 1，前 10 个一共占 29%
          7.4% 我	████
          4.8% 但	██
"""

import torch
from transformers import AutoModelForCausalLM, pipeline, set_seed

from course.cli import Parser, at_least, run
from course.errors import CourseError
from course.models import ENCODERS, find_model, load_tokenizer, quiet, read_config
from course.text_models import tidy

MODEL = "uer/gpt2-chinese-cluecorpussmall"  # 没下载时用随仓库的 tiny-gpt2-chinese
PROMPT = "你好，我是一款语言模型，"
LENGTH = 40  # 续写多少个 token
SEED = 0  # 随机数的种子：固定了，每次运行的结果都一样

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


def choose_device(asked: str) -> str:
    """pipeline 的 device：cpu 用内存，慢；cuda 用 NVIDIA 显卡的显存，快，模型要整个放得下

    要 cuda 却没有时说一声，改用 cpu，不崩溃；写 device=0 也是第一块显卡，没有时却悄悄用 cpu。
    """
    if asked == "cuda" and not torch.cuda.is_available():
        print("设备：要的是 cuda，但这里没有可用的 NVIDIA 显卡（或 torch 是 CPU 版），改用 cpu")
        return "cpu"
    if asked == "auto":
        asked = "cuda" if torch.cuda.is_available() else "cpu"
    print(f"设备：{asked}")
    return asked


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model", default=MODEL, help=f"模型名或文件夹，默认 {MODEL}")
    parser.add_argument("--prompt", default=PROMPT, help=f"开头的话，默认 {PROMPT}")
    length = at_least(1)
    parser.add_argument("--length", type=length, default=LENGTH, help=f"默认 {LENGTH}")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    args = parser.parse_args()
    prompt = args.prompt
    if not prompt.strip():
        raise CourseError("--prompt 是空的，没有开头就没法往下写", "--prompt 今天天气")

    # 1. 找到模型文件夹：装着 config.json 的那个。给 --model 和 from_pretrained 的路径有两种写法：
    #    绝对路径  从盘符（或 /）写起，在哪里运行都对：r"D:\hf\models\tiny-gpt2-chinese"
    #    相对路径  从运行命令时所在的文件夹算起：models/tiny-gpt2-chinese，从别处运行就找不到
    #    Python 代码里，Windows 的路径前面要写 r（raw，原样）：不写，\t 是一个制表符，路径就断了
    #    写成 / 也行，Windows 认得；在命令行里敲 --model 用不着 r
    folder = find_model(args.model)
    print(f"模型文件夹：{folder}")
    print(
        "不写 r：" + "models\tiny-gpt2-chinese", "写 r：" + r"models\tiny-gpt2-chinese", sep="    "
    )

    # 2. 模型和分词器从同一个文件夹读，交给 pipeline；任务名写 "text-generation"（续写）
    #    local_files_only=True：只看本地，绝不联网。给了路径本来就不联网，写上是为了保险：路径写错时
    #    from_pretrained 会把它当成 Hub 上的名字，去网上找
    if read_config(folder).model_type in ENCODERS:
        raise CourseError(f"{folder} 是编码器，读得懂，不会往下写", "去掉 --model，或换一个 GPT-2")
    device = choose_device(args.device)
    tokenizer = load_tokenizer(folder)
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    longest = model.config.max_position_embeddings
    used = len(tokenizer(prompt, verbose=False)["input_ids"])
    if used + args.length > longest:
        raise CourseError(
            f"提示语有 {used} 个 token，再写 {args.length} 个，超过了模型的上限 {longest}",
            "--prompt 短一点，或 --length 小一点",
        )
    writer = pipeline("text-generation", model=model, tokenizer=tokenizer, device=device)

    # 3. 最简单的调用。num_return_sequences：同一句话写几个版本（贪心只有一种写法，要 2 个会报错）
    #    max_new_tokens：新写多少个 token。旧教程写的是 max_length=50，它把提示语和特殊符号
    #    [CLS]、[SEP] 也算在内，提示语一长就没有地方写了，所以现在不用它
    set_seed(SEED)
    plain = writer(prompt, max_new_tokens=args.length, num_return_sequences=2)
    print(f"\n最简单的调用：\n  {plain}")
    #    分词器在汉字之间放了空格，tidy 把它们去掉；clean_up_tokenization_spaces=True（清理空格）
    #    只管英文标点前面的空格，管不到汉字
    for row in plain:
        print(f"  {tidy(row['generated_text'])}")
    #    没写参数，不等于没有：续写的 pipeline 自己定了 do_sample=True、temperature=0.7，generate 的
    #    默认是 top_k=50，和第 5 步只差一个 top_p
    print("  写得不好：模型小（真模型 1 亿个参数，随仓库的 900 万），还有下面这个陷阱")

    # 4. 陷阱：分词器默认在末尾加 [SEP]，意思是"话说完了"，模型从下一句话开始写，就跑题了
    with_sep = tokenizer(prompt)["input_ids"]
    without = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    print(f"\n默认的 id：…{with_sep[-3:]}，最后的 {tokenizer.sep_token_id} 就是 [SEP]")
    print(f"不加记号：…{without[-3:]}，add_special_tokens=False")

    # 5. 加上常用的一组参数，并避开 [SEP]。truncation=True：提示语比模型的上限（model_max_length）长
    #    就截断；不写，太长时先是一句警告，然后报错。可它只截到上限，没给要写的字留地方，所以第 2 步
    #    先查过长度。它不影响写出来的内容
    def write(**settings: object) -> str:
        set_seed(SEED)
        if settings.get("do_sample") is not False:
            settings = NEUTRAL | settings
        out = writer(
            prompt,
            max_new_tokens=args.length,
            add_special_tokens=False,
            truncation=True,
            **settings,
        )
        return tidy(out[0]["generated_text"]).removeprefix(tidy(prompt))

    print(
        f"\n常用的一组参数，不带 [SEP]：\n  {prompt}｜{write(temperature=0.7, top_k=50, top_p=0.9)}"
    )

    # 6. 一次只动一个参数，种子都是 SEED，看它做了什么
    #    temperature  温度，分数除以它再变成概率：小于 1 更保守，大于 1 更离奇
    #    top_k        只在最可能的 k 个里抽；k = 1 每次都一样
    #    top_p        从最可能的往下数，概率加起来刚到 p 就停，只在这几个里抽
    #    写在一起时，先除温度，再 top_k，再 top_p：后一个在前一个留下的里面挑
    #    一般从 temperature 0.7、top_p 0.9 开始：要稳就往下调，要有新意就往上调
    print(f"\n同一句「{prompt}」往下写 {args.length} 个 token：")
    for title, settings in SETTINGS.items():
        print(f"  {title}\n      {write(**settings)}")
    again = write(top_k=1) == write(do_sample=False)
    print(f"  top_k 1 和贪心写的一样：{again}")

    # 7. 参数动的是这张图：下一个字的概率（最可能的 10 个）。画出来见 docs/pictures/temperature.png
    with torch.inference_mode():
        logits = model(torch.tensor([without], device=model.device)).logits[0, -1].float().cpu()
    top = logits.topk(10).indices
    print(f"\n「{prompt}」的下一个字，最可能的 10 个（每个 █ 是 2 %）：")
    for temperature in (0.3, 1.0, 1.5):
        chance = (logits / temperature).softmax(-1)
        print(f"  温度 {temperature:g}，前 10 个一共占 {float(chance[top].sum()):.0%}")
        for token in top.tolist():
            share = float(chance[token])
            word = tokenizer.convert_ids_to_tokens(token)
            print(f"    {share:6.1%} {word}\t{'█' * round(share * 50)}")
        cumulative = chance.sort(descending=True).values.cumsum(0)
        sizes = {p: int((cumulative < p).sum()) + 1 for p in (0.5, 0.9)}
        print(f"    top_p 0.5 留下 {sizes[0.5]} 个候选，top_p 0.9 留下 {sizes[0.9]} 个")

    # 小结：温度低，图更尖，写得保守；温度高，图更平，写得离奇。top_k、top_p 砍掉尾巴再抽
    #       贪心爱绕圈子（反复说同一句），因为每一步最可能不等于整段最好
    #       换一台机器、换一个版本，抽出来的字可能和这里不同，这是正常的：它本来就是抽签
    # 练习：--prompt 换成"这家酒店"；SEED 换成 1，哪几行会变，哪几行不变？为什么？
    # 练习：在 SETTINGS 里加一行 temperature 0.7 + top_p 0.5，先猜它比单用哪一个更保守，再运行
    # 动手：python exercises/check.py demo01/04


if __name__ == "__main__":
    run(main)
