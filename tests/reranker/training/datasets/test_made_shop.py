from collections import defaultdict

from reranker.text.chinese import is_chinese
from reranker.training.datasets.made_shop import MadeShop


def test_the_same_seed_makes_the_same_shop() -> None:
    first, again = (MadeShop(["彩虹"], seed=3).make_products(50) for _ in range(2))
    assert first == again
    assert first != MadeShop(["彩虹"], seed=4).make_products(50)
    assert all(is_chinese(each.product.title) and each.type in each.product.title for each in first)


def test_a_fifth_of_the_types_is_for_tests_alone() -> None:
    learnt = {each.type for each in MadeShop([], seed=1).make_products(4000)}
    tested = {each.type for each in MadeShop([], seed=1, for_test=True).make_products(4000)}
    assert learnt < tested | learnt
    assert 0.1 < len(tested - learnt) / len(tested) < 0.4


def test_grades_follow_what_a_query_names() -> None:
    shop = MadeShop([], seed=2)
    made = shop.make_products(2000)
    type_of = {each.product.id: each.type for each in made}
    graded = defaultdict(dict[str, int])
    for judgement in shop.make_judgements(made, 40):
        graded[judgement.query][judgement.product_id] = judgement.grade
    for grades in graded.values():
        assert 3 in grades.values()
        assert 0 in grades.values()
        assert len({type_of[product] for product, grade in grades.items() if grade}) == 1
