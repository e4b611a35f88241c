"""The texts of the history page in its languages."""

from collections.abc import Mapping
from typing import Literal

WORDS: Mapping[Literal["ko", "en"], Mapping[str, str]] = {
    "ko": {
        "title": "학습 기록",
        "to_search": "찾기로",
        "other_language": "English",
        "lead": "학습을 돌릴 때마다 검색이 정말 나아졌는지 재고, 나아졌을 때만 새 모델을 내놓아요.",
        "measure": (
            "MRR@10은 맞는 답이 첫째면 1, 둘째면 1/2, 열째보다 뒤면 0으로 세어 평균한 값이에요."
        ),
        "latest": "가장 최근 보고서",
        "open_report": "{run} 보고서 열기",
        "charts": "그림으로 보기",
        "chart": "학습마다 검색 성능 (MRR@10)",
        "chart_note": (
            "질문마다 그 질문 없이 배운 것으로 쟀어요. 빈 표시는 남긴 라운드가 없는 학습이에요."
        ),
        "gains": "라운드마다 나아진 정도와 95% 구간",
        "gains_note": (
            "왼쪽 번호는 학습–라운드. 점수가 오르고, 벡터 검색과 함께 나아졌을 확률이 {level} "
            "이상이면 남겨요."
        ),
        "gain_axis": "MRR@10 차이",
        "run": "학습",
        "runs": "학습과 라운드",
        "no_runs": "아직 학습을 돌리지 않았어요. 이렇게 시작해요:",
        "round": "라운드",
        "round_zero": "학습 전",
        "result": "결과",
        "kept": "남김",
        "dropped": "버림",
        "start": "시작점",
        "gain": "나아진 정도 (95% 구간)",
        "questions": "질문 {train}개를 {folds}묶음으로 나눠, 나머지 묶음에서 배운 것으로 쟀어요",
        "questions_once": "질문 {train}개 가운데 열에 하나를 나머지에서 배운 것으로 쟀어요",
        "held_out": "{test}개는 따로 두고 마지막에 한 번 시험",
        "pairs": "점수 매긴 문장 쌍 {train}개로 학습, {dev}개로 고르고, {test}개로 시험",
        "test": "시험에서 {before} → {after}",
        "test_same": "시험에서 {after}",
        "published": "세대 {generation}로 내놓음",
        "not_published": "내놓지 않음",
        "running": "아직 끝나지 않음",
        "report": "보고서",
        "generations": "세대",
        "generation": "세대",
        "created": "만든 때 (UTC)",
        "answers": "답",
        "known": "아는 질문",
        "model": "모델",
        "current": "지금 쓰는 중",
        "trained": "{run} 라운드 {round}에서 학습",
        "untrained": "학습 안 함",
        "damaged": "손상됨",
        "damaged_runs": "읽을 수 없는 학습 기록",
        "more": "그 밖에 더 오래된 세대 {count}개",
        "more_runs": "그 밖에 더 오래된 학습 {count}번",
        "no_generations": "아직 만든 세대가 없어요.",
        "spearman": "Spearman",
    },
    "en": {
        "title": "Training history",
        "to_search": "Search",
        "other_language": "한국어",
        "lead": (
            "Every training run measures whether search has improved. A new model is published "
            "only if it has."
        ),
        "measure": (
            "MRR@10 is the mean of 1 / rank of the first right answer: 1 if it comes first, 1/2 if "
            "second, and so on; 0 beyond the tenth."
        ),
        "latest": "Latest report",
        "open_report": "Open the report of {run}",
        "charts": "Charts",
        "chart": "Search quality after each run (MRR@10)",
        "chart_note": (
            "Each question is searched with a model trained without it. A hollow marker is a run "
            "that kept no round."
        ),
        "gains": "Gain of each round with its 95% interval",
        "gains_note": (
            "Rows are run–round. A round is kept if hybrid search gains, and if the mean gain of "
            "hybrid and dense search is above 0 with at least {level} probability."
        ),
        "gain_axis": "gain in MRR@10",
        "run": "run",
        "runs": "Runs and rounds",
        "no_runs": "No training run yet. Start one:",
        "round": "round",
        "round_zero": "before",
        "result": "result",
        "kept": "kept",
        "dropped": "dropped",
        "start": "start",
        "gain": "gain (95%)",
        "questions": (
            "{train} questions in {folds} folds, each searched with a model trained on the others"
        ),
        "questions_once": (
            "{train} questions, one in ten searched with a model trained on the others"
        ),
        "held_out": "{test} held out for a final test",
        "pairs": "Scored pairs: {train} for training, {dev} for the decision, {test} for the test",
        "test": "test: {before} → {after}",
        "test_same": "test: {after}",
        "published": "published as generation {generation}",
        "not_published": "not published",
        "running": "not finished",
        "report": "report",
        "generations": "Generations",
        "generation": "generation",
        "created": "created (UTC)",
        "answers": "answers",
        "known": "known questions",
        "model": "model",
        "current": "in use",
        "trained": "trained in {run}, round {round}",
        "untrained": "not fine-tuned",
        "damaged": "damaged",
        "damaged_runs": "Runs that cannot be read",
        "more": "and {count} older generations",
        "more_runs": "and {count} older runs",
        "no_generations": "No generation yet.",
        "spearman": "Spearman",
    },
}
